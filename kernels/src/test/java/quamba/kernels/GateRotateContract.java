package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Behaviour of gateRotate, for backends that compute with codes. */
public interface GateRotateContract {
  /** Half a unit in the last place of 1. */
  double HALF_ULP = 0x1p-24;

  Probe probe();

  @ParameterizedTest
  @CsvSource({
    "3, 64, 1",
    "3, 48, 2",
    "3, 40, 1",
    "1, 56, 1",
    "2, 2560, 1",
    "2, 1536, 1",
    "1, 1536, 1",
    "2, 1536, 3",
    "2, 1536, 8",
    "70, 1536, 1",
    "20, 2048, 2",
    "20, 3072, 3",
    "20, 3584, 7",
    "20, 4096, 1",
    "20, 5120, 1",
    "20, 5120, 5",
    "20, 7168, 8",
    "20, 8192, 1",
    "20, 8192, 64",
    "300, 1536, 2",
    "2, 2048, 1",
    "2, 2048, 2",
    "2, 3072, 1",
    "2, 3584, 1",
    "2, 3584, 7",
    "2, 4096, 1",
    "2, 5120, 1",
    "2, 5120, 2",
    "2, 5120, 5",
    "2, 7168, 1",
    "2, 7168, 8",
    "2, 8192, 1",
    "3, 8192, 8",
    "1, 8192, 64"
  })
  default void gateRotateNormsThenRotates(int rows, int innerDim, int groups) {
    float[] y = Probe.random(400, rows * innerDim);
    byte[] z = Probe.randomCodes(401, rows * innerDim);
    float[] weight = Probe.random(402, innerDim);
    Gate gate = new Gate.Normed(new Norm(probe().floats(weight, innerDim), 1e-5f), groups);
    for (float[] scales : new float[][] {{0.03f}, Probe.randomScales(403, innerDim, 0.03f)}) {
      double[] expected = gated(y, Probe.values(z, scales));
      for (int from = 0; from < expected.length; from += innerDim) {
        double[] one = Arrays.copyOfRange(expected, from, from + innerDim);
        System.arraycopy(Oracle.norm(one, weight, 1e-5f, groups), 0, expected, from, innerDim);
        Hadamard.of(innerDim).apply(expected, from);
      }
      assertGateRotates(gate, y, z, scales, expected, innerDim);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "3, 64",
    "3, 40",
    "2, 1536",
    "300, 1536",
    "2, 2048",
    "20, 3584",
    "2, 5120",
    "1, 8192"
  })
  default void gateRotateWithoutANorm(int rows, int innerDim) {
    float[] y = Probe.random(404, rows * innerDim);
    byte[] z = Probe.randomCodes(405, rows * innerDim);
    float[] scales = Probe.randomScales(406, innerDim, 0.03f);
    double[] expected = gated(y, Probe.values(z, scales));
    for (int from = 0; from < expected.length; from += innerDim) {
      Hadamard.of(innerDim).apply(expected, from);
    }
    assertGateRotates(new Gate.Plain(), y, z, scales, expected, innerDim);
  }

  /** Whatever kernel is for so many rows. */
  @ParameterizedTest
  @CsvSource({
    "64, 1",
    "40, 0",
    "1536, 0",
    "1536, 3",
    "2048, 2",
    "3072, 1",
    "3584, 7",
    "4096, 1",
    "5120, 0",
    "5120, 1",
    "5120, 5",
    "7168, 8",
    "8192, 1",
    "8192, 64"
  })
  default void gateRotateOfARowIsTheSameInAnyBatch(int innerDim, int groups) {
    int rows = 40;
    float[] y = Probe.random(410, rows * innerDim);
    byte[] z = Probe.randomCodes(411, rows * innerDim);
    float[] weight = Probe.random(412, innerDim);
    Gate gate =
        groups == 0
            ? new Gate.Plain()
            : new Gate.Normed(new Norm(probe().floats(weight, innerDim), 1e-5f), groups);
    float[] scales = {0.03f};
    Tensor codes = probe().codes(z, scales, rows, innerDim);
    for (Tensor zs : List.of(codes, probe().floats(Probe.values(z, scales), rows, innerDim))) {
      Tensor floats = probe().zeros(rows, innerDim);
      Tensor rounded = probe().codes(new float[] {0.02f}, rows, innerDim);
      probe().backend().gateRotate(gate, probe().floats(y, rows, innerDim), zs, floats);
      probe().backend().gateRotate(gate, probe().floats(y, rows, innerDim), zs, rounded);
      for (int[] some : new int[][] {{0, 1}, {7, 8}, {24, 16}, {3, 17}}) {
        int from = some[0];
        int count = some[1];
        for (Tensor all : List.of(floats, rounded)) {
          Tensor few =
              all == floats
                  ? probe().zeros(count, innerDim)
                  : probe().codes(new float[] {0.02f}, count, innerDim);
          Tensor ys = probe().floats(y, rows, innerDim).rows(from, count);
          probe().backend().gateRotate(gate, ys, zs.rows(from, count), few);
          String what = "%s, %d rows from %d on".formatted(few.dtype(), count, from);
          if (all == floats) {
            assertArrayEquals(probe().floats(all.rows(from, count)), probe().floats(few), what);
          } else {
            assertArrayEquals(probe().bytes(all.rows(from, count)), probe().bytes(few), what);
          }
        }
      }
    }
  }

  private static double[] gated(float[] y, float[] z) {
    double[] gated = new double[y.length];
    Arrays.setAll(gated, i -> y[i] * Oracle.silu(z[i]));
    return gated;
  }

  private void assertGateRotates(
      Gate gate, float[] y, byte[] z, float[] scales, double[] expected, int innerDim) {
    int rows = y.length / innerDim;
    // Every result is a sum of innerDim terms of random signs, each gated to at most 2 and relative
    // to a mean square of about 1: results are at most 6. A term meets the roundings of the mean
    // square, which all share, of the gate and of the rotation.
    double tolerance = 6 * (innerDim / 2.0 + 20 + 26 + Math.log(innerDim) / Math.log(2)) * HALF_ULP;
    float[] outScales = Probe.randomScales(407, innerDim, 0.02f);
    float[] gates = Probe.values(z, scales);
    Tensor wide = probe().view(z, scales, rows, innerDim);
    Tensor dense = probe().codes(z, scales, rows, innerDim);
    for (Tensor zs : new Tensor[] {wide, dense, probe().floats(gates, rows, innerDim)}) {
      Tensor floats = probe().zeros(rows, innerDim);
      probe().backend().gateRotate(gate, probe().floats(y, rows, innerDim), zs, floats);
      Probe.assertClose(expected, probe().floats(floats), tolerance);

      Tensor inPlace = probe().floats(y, rows, innerDim);
      probe().backend().gateRotate(gate, inPlace, zs, inPlace);
      assertArrayEquals(probe().floats(floats), probe().floats(inPlace));

      for (float[] out : new float[][] {{0.02f}, outScales}) {
        Tensor codes = probe().codes(out, rows, innerDim);
        probe().backend().gateRotate(gate, probe().floats(y, rows, innerDim), zs, codes);
        double[] units = new double[expected.length];
        Arrays.setAll(units, i -> expected[i] / out[i % out.length]);
        Probe.assertRounded(units, probe().bytes(codes), tolerance / 0.01 + 127 * HALF_ULP);
      }
    }
  }

  /** H spreads the first of a row evenly; silu(100) is 100. */
  @Test
  default void gateRotateRoundsTiesAwayFromZeroAndHolds() {
    float[] x = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 0.49999997f, 126.5f, 127.5f, -127.5f, -1e30f};
    byte[] expected = {1, 2, 3, -1, -2, 0, 127, 127, -128, -128};
    int innerDim = 4096;
    float[] y = new float[x.length * innerDim];
    float[] z = new float[y.length];
    byte[] all = new byte[y.length];
    for (int row = 0; row < x.length; row++) {
      y[row * innerDim] = x[row] * 64 / 128;
      z[row * innerDim] = 128;
      Arrays.fill(all, row * innerDim, (row + 1) * innerDim, expected[row]);
    }
    Tensor out = probe().codes(new float[] {1}, x.length, innerDim);
    Tensor ys = probe().floats(y, x.length, innerDim);
    probe().backend().gateRotate(new Gate.Plain(), ys, probe().floats(z, x.length, innerDim), out);
    assertArrayEquals(all, probe().bytes(out));
  }

  @Test
  default void gateRotateOfManyRowsEqualsEachRowAlone() {
    int rows = 300;
    int innerDim = 5120;
    Norm norm = new Norm(probe().floats(Probe.random(408, innerDim), innerDim), 1e-5f);
    Gate gate = new Gate.Normed(norm, 1);
    float[] y = Probe.random(409, rows * innerDim);
    byte[] codes = Probe.randomCodes(410, rows * innerDim);
    Tensor z = probe().codes(codes, new float[] {0.03f}, rows, innerDim);
    Tensor together = probe().zeros(rows, innerDim);
    probe().backend().gateRotate(gate, probe().floats(y, rows, innerDim), z, together);
    Tensor alone = probe().zeros(rows, innerDim);
    Tensor ys = probe().floats(y, rows, innerDim);
    for (int row = 0; row < rows; row++) {
      probe().backend().gateRotate(gate, ys.rows(row, 1), z.rows(row, 1), alone.rows(row, 1));
    }
    assertArrayEquals(probe().floats(together), probe().floats(alone));
  }
}
