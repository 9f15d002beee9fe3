package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static quamba.udf.model.QuantizedModel.Precision.FLOAT;
import static quamba.udf.model.QuantizedModel.Precision.W4A16;
import static quamba.udf.model.QuantizedModel.Precision.W4A8;
import static quamba.udf.model.QuantizedModel.Precision.W8A8;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import quamba.kernels.DType;
import quamba.udf.Backends;
import quamba.udf.model.QuantizedModel.Precision;
import quamba.udf.model.Rows.Row;

/** Small quantized models against the formulas and roundings in double precision. */
class QuantizedModelTest {
  private static final String MAMBA1 =
      """
      {"d_model": 20, "n_layer": 4, "vocab_size": 37, "tie_embeddings": %s,
       "ssm_cfg": {"d_state": 5}, "quantization": {
         "version": 1, "scheme": "test", "rotation": "%s"}}""";

  private static final String MAMBA2 =
      """
      {"d_model": 24, "n_layer": 4, "vocab_size": 37, "tie_embeddings": %s,
       "ssm_cfg": {"layer": "Mamba2", "d_state": 10, "headdim": 12, "ngroups": 2},
       "quantization": {"version": 1, "scheme": "test", "rotation": "%s", "recipe": {"a": 1}}}""";

  private static final String ROTATED_MAMBA1 = MAMBA1.formatted("true", "hadamard");
  private static final String ROTATED_MAMBA2 = MAMBA2.formatted("false", "hadamard");

  private static final int[] IDS = new Random(7).ints(70, 0, 37).toArray();

  static Stream<Arguments> models() {
    return Stream.of(
        Arguments.of(ROTATED_MAMBA2, List.of(W8A8), W8A8, StateFormat.F32),
        Arguments.of(ROTATED_MAMBA2, List.of(W4A8), W4A8, StateFormat.F32),
        Arguments.of(ROTATED_MAMBA2, List.of(W4A16), W4A16, StateFormat.F32),
        Arguments.of(ROTATED_MAMBA2, List.of(W4A8, W4A16, W8A8, FLOAT), FLOAT, StateFormat.F32),
        Arguments.of(MAMBA2.formatted("true", "none"), List.of(W8A8), W8A8, StateFormat.F32),
        Arguments.of(MAMBA2.formatted("true", "none"), List.of(W4A8), W4A8, StateFormat.F32),
        Arguments.of(MAMBA2.formatted("true", "none"), List.of(W4A16), FLOAT, StateFormat.F32),
        Arguments.of(ROTATED_MAMBA2, List.of(W8A8, W4A8), W4A8, StateFormat.F16),
        Arguments.of(ROTATED_MAMBA2, List.of(W8A8, W4A8), W4A8, StateFormat.I8),
        Arguments.of(ROTATED_MAMBA2, List.of(W8A8, W4A8), W4A8, StateFormat.I8_STATIC),
        Arguments.of(ROTATED_MAMBA2, List.of(FLOAT), W4A16, StateFormat.I8),
        Arguments.of(ROTATED_MAMBA1, List.of(W8A8), W8A8, StateFormat.F32),
        Arguments.of(ROTATED_MAMBA1, List.of(W4A8), W4A8, StateFormat.F32),
        Arguments.of(ROTATED_MAMBA1, List.of(W4A16, W4A8, FLOAT, W8A8), W4A16, StateFormat.F32),
        Arguments.of(MAMBA1.formatted("false", "none"), List.of(W8A8), W4A8, StateFormat.F32),
        Arguments.of(ROTATED_MAMBA1, List.of(W8A8, W4A8), W4A8, StateFormat.F16),
        Arguments.of(ROTATED_MAMBA1, List.of(W8A8, W4A8), W4A8, StateFormat.I8),
        Arguments.of(ROTATED_MAMBA1, List.of(W8A8, W4A8), W4A8, StateFormat.I8_STATIC));
  }

  private static QuantizedModel source(
      String config, List<Precision> layers, Precision ends, StateFormat state) {
    return new QuantizedModel(new RandomModel(config, DType.F32), layers, ends, state, IDS);
  }

  private static MambaModel open(QuantizedModel source, int slots, StateFormat state) {
    ModelLoader.check(source);
    Capacity capacity = new Capacity(slots, Math.max(slots, 70), state);
    return ModelLoader.open(source, Backends.open("cpu", 2), capacity, 37);
  }

  private static double rms(double[][] a, float[][] b) {
    double sum = 0;
    int count = 0;
    for (int token = 0; token < a.length; token++) {
      for (int id = 0; id < a[token].length; id++) {
        sum += (a[token][id] - b[token][id]) * (a[token][id] - b[token][id]);
        count++;
      }
    }
    return Math.sqrt(sum / count);
  }

  private static float[][] floats(double[][] values) {
    float[][] floats = new float[values.length][values[0].length];
    for (int token = 0; token < floats.length; token++) {
      for (int id = 0; id < floats[token].length; id++) {
        floats[token][id] = (float) values[token][id];
      }
    }
    return floats;
  }

  /**
   * Single precision now and then rounds to the code beside the one that double precision rounds
   * to, which then goes through the model; the rest agrees. A code of a token's hundreds off by a
   * unit, in one token of many, is far less than all of them off by a third of one, as rounding
   * them at all is; to leave out one kind of rounding of eight would be a third of it.
   */
  @ParameterizedTest
  @MethodSource("models")
  void logitsAreThoseOfTheFormulas(
      String config, List<Precision> layers, Precision ends, StateFormat state) {
    QuantizedModel source = source(config, layers, ends, state);
    double[][] expected = ModelOracle.logits(source, source, IDS);
    RandomModel exact = new RandomModel(config, DType.F32);
    double[][] unrounded = ModelOracle.logits(exact, ModelOracle.Taps.NONE, IDS);
    try (MambaModel model = open(source, 3, state)) {
      float[][] found = Rows.logits(model, 1, 70, IDS);
      double off = rms(expected, found);
      double rounding = rms(expected, floats(unrounded));
      assertTrue(off < 0.1 * rounding, off + " off where rounding is " + rounding);
    }
  }

  @ParameterizedTest
  @EnumSource(StateFormat.class)
  void prefillIsTheSameInAnyPieces(StateFormat state) {
    for (String config : List.of(ROTATED_MAMBA1, ROTATED_MAMBA2)) {
      QuantizedModel source = source(config, List.of(W8A8, W4A8, W4A16), W4A8, state);
      try (MambaModel model = open(source, 3, state)) {
        float[][] whole = Rows.logits(model, 0, 70, IDS);
        for (int piece : new int[] {1, 2, 7, 16, 17, 64}) {
          assertArrayEquals(whole, Rows.logits(model, piece % 3, piece, IDS), "pieces of " + piece);
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(StateFormat.class)
  void rowsAreTheSameAloneAndInAnyBatch(StateFormat state) {
    Random random = new Random(5);
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      List<Integer> prompt = random.ints(1 + i, 0, 37).boxed().toList();
      rows.add(new Row(19 - i, prompt, new Sampling(0.9f, 20, 0.95f, 0.01f, 1.1f, 77), i));
    }
    for (String config : List.of(ROTATED_MAMBA1, ROTATED_MAMBA2)) {
      QuantizedModel source = source(config, List.of(W8A8, W4A8, W4A16), W4A8, state);
      try (MambaModel model = open(source, 20, state)) {
        List<List<Integer>> together = Rows.generate(model, 30, 8, rows);
        List<List<Integer>> ahead = Rows.generateAhead(model, 30, rows.subList(0, 10));
        assertEquals(together.subList(0, 10), ahead);
        for (int i = 0; i < 20; i += 3) {
          Row row = rows.get(i);
          Row moved = new Row((row.slot() + 7) % 20, row.prompt(), row.sampling(), row.key());
          List<List<Integer>> alone = Rows.generate(model, 30, 50, List.of(moved));
          assertEquals(List.of(together.get(i)), alone, "row " + i);
        }
      }
    }
  }
}
