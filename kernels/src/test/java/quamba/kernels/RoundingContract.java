package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Behaviour of norm, gate, rotate and conv where they read or write codes. */
public interface RoundingContract {
  /** Half a unit in the last place of 1. */
  double HALF_ULP = 0x1p-24;

  Probe probe();

  private static double[] divided(double[] values, float[] scales) {
    double[] units = new double[values.length];
    for (int i = 0; i < units.length; i++) {
      units[i] = values[i] / scales[i % scales.length];
    }
    return units;
  }

  @ParameterizedTest
  @CsvSource({
    "3, 40", "1, 40", "70, 40", "3, 1", "3, 7", "3, 32", "3, 33", "3, 257", "2, 768", "2, 2560"
  })
  default void normRounds(int rows, int modelDim) {
    float[] x = Probe.random(70, rows * modelDim);
    float[] residual = Probe.random(71, rows * modelDim);
    float[] weight = Probe.random(72, modelDim);
    double[] expected = new double[x.length];
    for (int row = 0; row < rows; row++) {
      double[] sum = new double[modelDim];
      for (int i = 0; i < modelDim; i++) {
        sum[i] = (double) x[row * modelDim + i] + residual[row * modelDim + i];
      }
      System.arraycopy(Oracle.norm(sum, weight, 1e-5f, 1), 0, expected, row * modelDim, modelDim);
    }
    Norm norm = new Norm(probe().floats(weight, modelDim), 1e-5f);
    for (float[] scales : new float[][] {{0.02f}, Probe.randomScales(73, modelDim, 0.02f)}) {
      Tensor out = probe().codes(scales, rows, modelDim);
      Tensor xs = probe().floats(x, rows, modelDim);
      probe().backend().norm(norm, xs, probe().floats(residual, rows, modelDim), out);
      // As in DenseContract; in units of scales of at least 0.01, plus the division's rounding.
      double tolerance = 4 * (modelDim / 2.0 + 6) * HALF_ULP / 0.01;
      Probe.assertRounded(divided(expected, scales), probe().bytes(out), tolerance);
    }
  }

  /** Ones have a mean square of 1, so that with epsilon 0 the weights come out. */
  @Test
  default void normRoundsTiesToEvenAndHolds() {
    float[] weight = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f, 127.5f, -128.5f, 1e30f, -1e30f};
    float[] ones = new float[weight.length];
    Arrays.fill(ones, 1);
    Tensor out = probe().codes(new float[] {1}, 1, 10);
    Norm norm = new Norm(probe().floats(weight, 10), 0);
    probe().backend().norm(norm, probe().floats(ones, 1, 10), probe().zeros(1, 10), out);
    assertArrayEquals(new byte[] {0, 2, 2, 0, -2, 126, 127, -128, 127, -128}, probe().bytes(out));
  }

  @ParameterizedTest
  @CsvSource({
    "3, 48, 1",
    "3, 48, 6",
    "1, 48, 2",
    "70, 48, 2",
    "3, 34, 2",
    "3, 512, 2",
    "2, 8192, 8"
  })
  default void gateReadsAndWritesCodes(int rows, int innerDim, int groups) {
    float[] y = Probe.random(74, rows * innerDim);
    byte[] z = Probe.randomCodes(75, rows * innerDim);
    float[] weight = Probe.random(76, innerDim);
    for (float[] scales : new float[][] {{0.03f}, Probe.randomScales(77, innerDim, 0.03f)}) {
      float[] gates = Probe.values(z, scales);
      double[] gated = new double[y.length];
      Arrays.setAll(gated, i -> y[i] * Oracle.silu(gates[i]));
      double[] expected = new double[y.length];
      for (int row = 0; row < rows; row++) {
        double[] one = Arrays.copyOfRange(gated, row * innerDim, (row + 1) * innerDim);
        double[] normed = Oracle.norm(one, weight, 1e-5f, groups);
        System.arraycopy(normed, 0, expected, row * innerDim, innerDim);
      }
      Tensor ys = probe().floats(y, rows, innerDim);
      Gate gate = new Gate.Normed(new Norm(probe().floats(weight, innerDim), 1e-5f), groups);
      Tensor zs = probe().view(z, scales, rows, innerDim);
      // As in DenseContract, with one more rounding for the code's value.
      double tolerance = 6 * (innerDim / 2.0 / groups + 7 + 8 + 5) * HALF_ULP;
      Tensor floats = probe().zeros(rows, innerDim);
      probe().backend().gate(gate, ys, zs, floats);
      Probe.assertClose(expected, probe().floats(floats), tolerance);

      Tensor codes = probe().codes(scales, rows, innerDim);
      probe().backend().gate(gate, ys, zs, codes);
      double unit = 0.015; // the least scale
      Probe.assertRounded(divided(expected, scales), probe().bytes(codes), tolerance / unit * 1.1);

      Tensor plain = probe().codes(scales, rows, innerDim);
      probe().backend().gate(new Gate.Plain(), ys, zs, plain);
      Probe.assertRounded(divided(gated, scales), probe().bytes(plain), tolerance / unit * 1.1);
    }
  }

  /** silu(100) is 100. */
  @Test
  default void gateRoundsTiesToEvenAndHolds() {
    float[] y = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f, 127.5f, -128.5f, 1e9f, -1e9f};
    float[] z = new float[y.length];
    Arrays.fill(z, 100);
    Tensor out = probe().codes(new float[] {100}, 1, 10);
    probe()
        .backend()
        .gate(new Gate.Plain(), probe().floats(y, 1, 10), probe().floats(z, 1, 10), out);
    assertArrayEquals(new byte[] {0, 2, 2, 0, -2, 126, 127, -128, 127, -128}, probe().bytes(out));
  }

  @ParameterizedTest
  @CsvSource({
    "3, 64", "1, 64", "70, 64", "3, 1", "3, 2", "3, 16", "3, 12", "3, 48", "3, 40", "3, 56",
    "3, 20", "3, 1536", "3, 2560"
  })
  default void rotateTransformsRows(int rows, int innerDim) {
    float[] x = Probe.random(78, rows * innerDim);
    double[] expected = new double[x.length];
    Arrays.setAll(expected, i -> x[i]);
    for (int row = 0; row < rows; row++) {
      Hadamard.of(innerDim).apply(expected, row * innerDim);
    }
    Tensor xs = probe().floats(x, rows, innerDim);
    Tensor floats = probe().zeros(rows, innerDim);
    probe().backend().rotate(xs, floats);
    // Every result is a sum of innerDim terms of at most 1 / sqrt(innerDim): random signs keep
    // partial sums of it within 6, and no more than 6 + log2(innerDim) + 20 roundings meet a term.
    double tolerance = 6 * (26 + Math.log(innerDim) / Math.log(2)) * HALF_ULP;
    Probe.assertClose(expected, probe().floats(floats), tolerance);

    for (float[] scales : new float[][] {{0.02f}, Probe.randomScales(79, innerDim, 0.02f)}) {
      Tensor codes = probe().codes(scales, rows, innerDim);
      probe().backend().rotate(xs, codes);
      Probe.assertRounded(
          divided(expected, scales), probe().bytes(codes), tolerance / 0.01 + 127 * HALF_ULP);
    }
    probe().backend().rotate(xs, xs);
    assertArrayEquals(probe().floats(floats), probe().floats(xs));
  }

  @Test
  default void rotateRoundsTiesAwayFromZeroAndHolds() {
    float[] x = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 0.49999997f, 126.5f, 127.5f, -127.5f, -1e30f};
    Tensor out = probe().codes(new float[] {1}, 10, 1);
    probe().backend().rotate(probe().floats(x, 10, 1), out);
    byte[] expected = {1, 2, 3, -1, -2, 0, 127, 127, -128, -128};
    assertArrayEquals(expected, probe().bytes(out));
    Tensor many = probe().codes(new float[] {1}, 10, 16);
    float[] spread = new float[10 * 16];
    for (int i = 0; i < x.length; i++) {
      spread[i * 16] = x[i] * 4; // H spreads it evenly: 16 times x
    }
    probe().backend().rotate(probe().floats(spread, 10, 16), many);
    byte[] all = new byte[10 * 16];
    for (int i = 0; i < all.length; i++) {
      all[i] = expected[i / 16];
    }
    assertArrayEquals(all, probe().bytes(many));
  }

  @ParameterizedTest
  @CsvSource({
    "9, 40, 4",
    "1, 40, 4",
    "2, 40, 4",
    "100, 40, 4",
    "140, 6400, 4",
    "255, 40, 4",
    "256, 40, 4",
    "257, 40, 4",
    "1030, 24, 4",
    "9, 1, 4",
    "9, 16, 4",
    "9, 63, 4",
    "9, 200, 4",
    "9, 40, 2",
    "9, 40, 5"
  })
  default void convReadsAndWritesCodes(int tokens, int channels, int convWidth) {
    byte[] x = Probe.randomCodes(80, tokens * channels);
    float[] weight = Probe.random(81, channels * convWidth);
    float[] bias = Probe.random(82, channels);
    Conv conv = conv(weight, bias);
    float[] in = Probe.randomScales(83, channels, 0.01f);
    float[] out = Probe.randomScales(84, channels, 0.02f);
    Tensor y = probe().codes(out, tokens, channels);
    Tensor state = probe().bytes(new byte[(convWidth - 1) * channels], 1, convWidth - 1, channels);
    Tensor xs = probe().view(x, in, tokens, channels);
    probe().backend().conv(conv, probe().row(0, tokens, 0), xs, state, y);
    // As in ConvContract with inputs of at most 2.6 and one rounding more each, in units of 0.01.
    double size = 2.6 * convWidth + 1;
    double tolerance = size * (1.1 * size + 9) * HALF_ULP / 0.01;
    double[] expected = Oracle.conv(Probe.values(x, in), weight, bias, channels);
    Probe.assertRounded(divided(expected, out), probe().bytes(y), tolerance);

    Tensor codes = probe().codes(x, in, tokens, channels);
    Tensor inPlace = codes.scaled(probe().floats(out, channels));
    probe().backend().conv(conv, probe().row(0, tokens, 0), codes, state, inPlace);
    assertArrayEquals(probe().bytes(y), probe().bytes(codes));
  }

  /** silu(v) is v for large v; weights are 0. */
  @Test
  default void convRoundsTiesAwayFromZeroAndHolds() {
    float[] bias = {50, 150, 250, 12_650, 12_750, 1e9f, -1e9f, 49.99f};
    Conv conv = conv(new float[8 * 4], bias);
    Tensor out = probe().codes(new float[] {100}, 1, 8);
    Tensor x = probe().codes(new float[] {1}, 1, 8);
    probe()
        .backend()
        .conv(conv, probe().row(0, 1, 0), x, probe().bytes(new byte[24], 1, 3, 8), out);
    assertArrayEquals(new byte[] {1, 2, 3, 127, 127, 127, 0, 0}, probe().bytes(out));
  }

  /** Whether rows begin at whole fours or not, are alone or not, and are cut or not. */
  @ParameterizedTest
  @CsvSource({"40, 1", "40, 7", "37, 1", "37, 7"})
  default void convOfCodesIsTheSameForARaggedBatchAndEachToken(int channels, int longest) {
    int rows = 21;
    int[] slots = new int[rows];
    int[] counts = new int[rows];
    int[] positions = new int[rows];
    for (int row = 0; row < rows; row++) {
      slots[row] = rows - 1 - row;
      counts[row] = 1 + row % longest;
      positions[row] = row % 3 * 5;
    }
    int tokens = Arrays.stream(counts).sum();
    Conv conv = conv(Probe.random(411, channels * 4), Probe.random(412, channels));
    float[] scales = Probe.randomScales(413, channels, 0.01f);
    byte[] x = Probe.randomCodes(414, tokens * channels);
    byte[] history = Probe.randomCodes(415, rows * 3 * channels);
    Tensor states = probe().bytes(history, rows, 3, channels);
    Tensor together = probe().view(x, scales, tokens, channels);
    Batch batch = probe().batch(slots, counts, positions);
    probe().backend().conv(conv, batch, together, states, together);
    Tensor ownStates = probe().bytes(history, rows, 3, channels);
    Tensor alone = probe().codes(x, scales, tokens, channels);
    int at = 0;
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < counts[row]; i++) {
        Tensor token = alone.rows(at++, 1);
        Batch one = probe().row(slots[row], 1, positions[row] + i);
        probe().backend().conv(conv, one, token, ownStates, token);
      }
    }
    assertArrayEquals(probe().bytes(alone), probe().bytes(together));
    assertArrayEquals(probe().bytes(ownStates), probe().bytes(states));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 11})
  default void convOfCodesInPiecesEqualsConvInOne(int piece) {
    int tokens = 12;
    int channels = 37;
    Conv conv = conv(Probe.random(85, channels * 4), Probe.random(86, channels));
    float[] scales = Probe.randomScales(87, channels, 0.01f);
    byte[] x = Probe.randomCodes(88, tokens * channels);
    Tensor xs = probe().codes(x, scales, tokens, channels);
    byte[] history = Probe.randomCodes(89, 3 * channels);
    byte[] histories = Arrays.copyOf(history, 2 * history.length);
    System.arraycopy(history, 0, histories, history.length, history.length);
    Tensor state = probe().bytes(histories, 2, 3, channels);
    Tensor once = probe().codes(scales, tokens, channels);
    probe().backend().conv(conv, probe().row(0, tokens, 9), xs, state, once);
    Tensor pieces = probe().codes(scales, tokens, channels);
    for (int from = 0; from < tokens; from += piece) {
      int count = Math.min(piece, tokens - from);
      Tensor out = pieces.rows(from, count);
      Batch batch = probe().row(1, count, 9 + from);
      probe().backend().conv(conv, batch, xs.rows(from, count), state, out);
    }
    assertArrayEquals(probe().bytes(once), probe().bytes(pieces));
    byte[] last = Arrays.copyOfRange(x, 9 * channels, 12 * channels);
    assertArrayEquals(last, Arrays.copyOf(probe().bytes(state), last.length));
    assertArrayEquals(last, Arrays.copyOfRange(probe().bytes(state), last.length, 2 * last.length));
  }

  private Conv conv(float[] weight, float[] bias) {
    int channels = bias.length;
    return new Conv(
        probe().floats(weight, channels, weight.length / channels), probe().floats(bias, channels));
  }
}
