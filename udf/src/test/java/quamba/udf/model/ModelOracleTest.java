package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import quamba.kernels.DType;
import quamba.udf.Backends;

/** Small models of every kind against the formulas in double precision. */
class ModelOracleTest {
  /**
   * Logits are sums of modelDim products around 1 behind at most three layers; the largest
   * deviations measured are a tenth of this.
   */
  private static final double TOLERANCE = 1e-4;

  private static final String MAMBA1 =
      """
      {"d_model": 20, "n_layer": 3, "vocab_size": 37, "ssm_cfg": {"d_state": 5}}""";

  private static final String MAMBA1_OPTIONS =
      """
      {"d_model": 20, "n_layer": 2, "vocab_size": 48, "tie_embeddings": false,
       "ssm_cfg": {"layer": "Mamba1", "d_state": 6, "d_conv": 3, "dt_rank": 3, "expand": 1.5}}""";

  private static final String MAMBA2 =
      """
      {"d_model": 24, "n_layer": 3, "vocab_size": 37,
       "ssm_cfg": {"layer": "Mamba2", "d_state": 10, "headdim": 12}}""";

  private static final String MAMBA2_OPTIONS =
      """
      {"d_model": 24, "n_layer": 2, "vocab_size": 37, "pad_vocab_size_multiple": 16,
       "tie_embeddings": false,
       "ssm_cfg": {"layer": "Mamba2", "d_state": 10, "headdim": 12, "ngroups": 2, "d_conv": 2,
                   "dt_limit": [0.2, 0.9]}}""";

  private static final String TRANSFORMERS =
      """
      {"model_type": "mamba2", "hidden_size": 24, "num_hidden_layers": 2, "vocab_size": 40,
       "state_size": 10, "num_heads": 4, "head_dim": 12, "n_groups": 2, "expand": 2,
       "layer_norm_epsilon": 0.01, "time_step_limit": [0.0, Infinity],
       "tie_word_embeddings": true}""";

  static Stream<Arguments> models() {
    return Stream.of(
        Arguments.of(MAMBA1, List.of(DType.F32)),
        Arguments.of(MAMBA1_OPTIONS, List.of(DType.F16)),
        Arguments.of(MAMBA2, List.of(DType.F16, DType.F32, DType.BF16)),
        Arguments.of(MAMBA2_OPTIONS, List.of(DType.BF16)),
        Arguments.of(TRANSFORMERS, List.of(DType.F32, DType.F16)));
  }

  @ParameterizedTest
  @MethodSource("models")
  void logitsAreThoseOfTheFormulas(String config, List<DType> dtypes) {
    RandomModel source = new RandomModel(config, dtypes.toArray(DType[]::new));
    int vocab = source.parsed().vocabulary().size();
    int[] ids = new int[70];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (i * i + 3 * i) % vocab;
    }
    double[][] expected = ModelOracle.logits(source, ModelOracle.Taps.NONE, ids);
    try (MambaModel model =
        ModelLoader.open(source, Backends.open("cpu", 2), new Capacity(3, 70), vocab)) {
      float[][] found = Rows.logits(model, 1, 70, ids);

      double worst = 0;
      for (int token = 0; token < ids.length; token++) {
        assertEquals(expected[token].length, found[token].length);
        for (int id = 0; id < expected[token].length; id++) {
          worst = Math.max(worst, Math.abs(expected[token][id] - found[token][id]));
        }
      }
      assertEquals(0, worst, TOLERANCE);
    }
  }
}
