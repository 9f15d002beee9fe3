package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Hadamard;
import quamba.udf.model.ModelConfig;

class HadamardFoldTest {
  /** Folded weights are floats of size about 1; sums have up to 80 terms. */
  private static final double TOLERANCE = 2e-6;

  /** Width 40, where H is not symmetric; innerDim 80. */
  private static final String MAMBA1 =
      """
      {"d_model": 40, "n_layer": 1, "vocab_size": 16, "ssm_cfg": {"d_state": 4}}""";

  private static final String MAMBA2 =
      """
      {"d_model": 24, "n_layer": 1, "vocab_size": 16,
       "ssm_cfg": {"layer": "Mamba2", "d_state": 4, "headdim": 12}}""";

  private static final String LAYER = "backbone.layers.0.";

  private static double[] random(int count, long seed) {
    return new Random(seed).doubles(count, -1, 1).toArray();
  }

  private static double[] rotated(double[] x) {
    double[] rotated = x.clone();
    Hadamard.of(x.length).apply(rotated, 0);
    return rotated;
  }

  private static double[] product(float[] matrix, double[] x) {
    double[] out = new double[matrix.length / x.length];
    for (int row = 0; row < out.length; row++) {
      for (int i = 0; i < x.length; i++) {
        out[row] += (double) matrix[row * x.length + i] * x[i];
      }
    }
    return out;
  }

  private static double[] times(double[] x, float[] weight) {
    double[] out = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      out[i] = x[i] * weight[i];
    }
    return out;
  }

  @ParameterizedTest
  @ValueSource(strings = {MAMBA1, MAMBA2})
  void eachStepOfTheModelIsTheSameInRotatedSpace(String json) {
    RandomWeights model = new RandomWeights(json);
    ModelConfig config = model.parsed();
    FloatWeights original = FloatWeights.of(model);
    FloatWeights folded = HadamardFold.of(config).over(original);
    int dim = config.modelDim();

    float[] table = original.values("backbone.embedding.weight");
    float[] rotatedTable = folded.values("backbone.embedding.weight");
    double[] row = new double[dim];
    double[] rotatedRow = new double[dim];
    for (int i = 0; i < dim; i++) {
      row[i] = table[3 * dim + i];
      rotatedRow[i] = rotatedTable[3 * dim + i];
    }
    assertArrayEquals(rotated(row), rotatedRow, TOLERANCE);

    // The norm without its weight commutes with the rotation, so any x stands for its output.
    double[] x = random(dim, 7);
    String inProj = LAYER + "mixer.in_proj.weight";
    assertArrayEquals(
        product(original.values(inProj), times(x, original.values(LAYER + "norm.weight"))),
        product(folded.values(inProj), rotated(x)),
        TOLERANCE);
    assertArrayEquals(
        product(
            original.values("lm_head.weight"), times(x, original.values("backbone.norm_f.weight"))),
        product(folded.values("lm_head.weight"), rotated(x)),
        TOLERANCE);

    double[] y = random(config.mixer().innerDim(), 8);
    String outProj = LAYER + "mixer.out_proj.weight";
    assertArrayEquals(
        rotated(product(original.values(outProj), y)),
        product(folded.values(outProj), rotated(y)),
        TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(strings = {MAMBA1, MAMBA2})
  void normsBecomeOneAndTheRestStays(String json) {
    RandomWeights model = new RandomWeights(json);
    FloatWeights original = FloatWeights.of(model);
    FloatWeights folded = HadamardFold.of(model.parsed()).over(original);
    float[] ones = Naive.ones(model.parsed().modelDim());
    assertArrayEquals(ones, folded.values("backbone.norm_f.weight"));
    assertArrayEquals(ones, folded.values(LAYER + "norm.weight"));
    for (String name : model.names()) {
      boolean changed =
          name.matches(".*(embedding|in_proj|out_proj|norm_f|layers.0.norm)\\.weight");
      if (!changed) {
        assertArrayEquals(original.values(name), folded.values(name), name);
      }
    }
  }

  @Test
  void widthsWithoutAMatrixAreRefused() {
    RandomWeights model = new RandomWeights("{\"d_model\": 36, \"n_layer\": 1, \"vocab_size\": 8}");
    String message =
        assertThrows(IllegalArgumentException.class, () -> HadamardFold.of(model.parsed()))
            .getMessage();
    assertEquals("no Hadamard transform of size 36:", message.substring(0, 33));
  }
}
