package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Behaviour of begin, embed, norm, linear and gate, which know no rows of a batch. */
interface DenseContract {
  /** Half a unit in the last place of 1. */
  double HALF_ULP = 0x1p-24;

  Probe probe();

  @ParameterizedTest
  @CsvSource({"1, 1", "3, 7", "64, 513", "500, 40", "2, 5120"})
  default void beginFillsInWhatWasChosenAndZeroesTheResidual(int rows, int modelDim) {
    int[] chosen = new int[2 * rows];
    for (int i = 0; i < chosen.length; i++) {
      chosen[i] = 1000 + i;
    }
    int[] ids = new int[rows];
    int[] expected = new int[rows];
    for (int i = 0; i < rows; i++) {
      int from = (i * 7 + 1) % chosen.length;
      ids[i] = i % 3 == 2 ? i : -1 - from;
      expected[i] = i % 3 == 2 ? i : 1000 + from;
    }
    Tensor inputs = probe().ints(ids);
    float[] wide = new float[rows * (modelDim + 2)];
    Arrays.fill(wide, 5);
    Tensor residual = probe().floats(wide, rows, modelDim + 2);
    probe().backend().begin(inputs, probe().ints(chosen), residual.columns(1, modelDim));
    assertArrayEquals(expected, probe().ints(inputs));
    float[] left = probe().floats(residual);
    for (int i = 0; i < left.length; i++) {
      int column = i % (modelDim + 2);
      assertEquals(column == 0 || column == modelDim + 1 ? 5 : 0, left[i], "element " + i);
    }
  }

  @ParameterizedTest
  @CsvSource({"7, 5", "1, 5", "33, 5", "64, 5", "100, 5", "7, 1", "7, 16", "7, 31", "7, 130"})
  default void embedCopiesTheEntryFromAPackedAndAPlainTable(int entries, int dim) {
    float[] table = Probe.random(1, entries * dim);
    int[] ids = new int[2 * entries];
    float[] expected = new float[ids.length * dim];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (i * 5 + 3) % entries;
      System.arraycopy(table, ids[i] * dim, expected, i * dim, dim);
    }
    Tensor out = probe().zeros(ids.length, dim);
    probe().backend().embed(probe().ints(ids), probe().packed(table, entries, dim), out);
    assertArrayEquals(expected, probe().floats(out));
    Tensor again = probe().zeros(ids.length, dim);
    probe().backend().embed(probe().ints(ids), probe().floats(table, entries, dim), again);
    assertArrayEquals(expected, probe().floats(again));
  }

  @ParameterizedTest
  @CsvSource({
    "3, 40", "1, 40", "70, 40", "3, 1", "3, 7", "3, 32", "3, 33", "3, 257", "2, 768", "2, 4096",
    "2, 4097", "2, 5120"
  })
  default void normAddsToTheResidualAndNormsTheSum(int rows, int modelDim) {
    float[] x = Probe.random(2, rows * modelDim);
    float[] residual = Probe.random(3, rows * modelDim);
    float[] weight = Probe.random(4, modelDim);
    double[] sum = new double[x.length];
    double[] expected = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      sum[i] = x[i] + residual[i];
    }
    for (int row = 0; row < rows; row++) {
      double[] one = Arrays.copyOfRange(sum, row * modelDim, (row + 1) * modelDim);
      System.arraycopy(Oracle.norm(one, weight, 1e-5f, 1), 0, expected, row * modelDim, modelDim);
    }
    Tensor xs = probe().floats(x, rows, modelDim);
    Tensor residuals = probe().floats(residual, rows, modelDim);
    Norm norm = new Norm(probe().floats(weight, modelDim), 1e-5f);
    probe().backend().norm(norm, xs, residuals, xs);
    Probe.assertClose(sum, probe().floats(residuals), 2 * HALF_ULP); // |x + residual| ≤ 2
    // The sum of squares rounds once a term, relative to itself; its root halves that. Five more
    // roundings follow the sum. Results are at most sqrt(modelDim), and for these inputs at most 4.
    Probe.assertClose(expected, probe().floats(xs), 4 * (modelDim / 2.0 + 5) * HALF_ULP);
  }

  @ParameterizedTest
  @CsvSource({
    "5, 33, 45", "1, 33, 45", "2, 33, 45", "3, 33, 45", "4, 33, 45", "8, 33, 45", "15, 33, 45",
    "64, 33, 45", "300, 33, 45", "5, 1, 45", "5, 16, 45", "5, 511, 45", "5, 512, 45", "5, 513, 45",
    "5, 1100, 45", "5, 33, 1", "5, 33, 16", "5, 33, 31", "5, 33, 32", "5, 33, 64", "5, 33, 700"
  })
  default void linearIsTheMatrixProduct(int rows, int in, int out) {
    float[] x = Probe.random(5, rows * in);
    float[] weight = Probe.random(6, out * in, 1f / in);
    Tensor y = probe().zeros(rows, out);
    Linear linear = new Linear(probe().packed(weight, out, in));
    probe().backend().linear(linear, probe().floats(x, rows, in), y);
    // Terms are at most 1 / in, so partial sums at most 1: each of the in steps rounds by at most
    // half a unit of 1.
    double tolerance = in * HALF_ULP;
    Probe.assertClose(Oracle.linear(x, weight, rows, in, out), probe().floats(y), tolerance);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 7, 9, 31, 150})
  default void linearOfManyRowsEqualsEachRowAlone(int rows) {
    int in = 600;
    int out = 75;
    Tensor x = probe().floats(Probe.random(7, rows * in), rows, in);
    Linear linear = new Linear(probe().packed(Probe.random(8, out * in), out, in));
    Tensor together = probe().zeros(rows, out);
    probe().backend().linear(linear, x, together);
    Tensor alone = probe().zeros(rows, out);
    for (int row = 0; row < rows; row++) {
      probe().backend().linear(linear, x.rows(row, 1), alone.rows(row, 1));
    }
    assertArrayEquals(probe().floats(together), probe().floats(alone));
  }

  @Test
  default void linearsEqualLinearOneByOne() {
    Tensor x = probe().floats(Probe.random(18, 9 * 20), 9, 20);
    Linear first = new Linear(probe().packed(Probe.random(19, 40 * 20), 40, 20));
    Linear second = new Linear(probe().packed(Probe.random(20, 7 * 20), 7, 20));
    Tensor together = probe().zeros(9, 47);
    Product left = new Product(first, together.columns(0, 40));
    Product right = new Product(second, together.columns(40, 7));
    probe().backend().linears(x, List.of(left, right));
    Tensor alone = probe().zeros(9, 47);
    probe().backend().linear(first, x, alone.columns(0, 40));
    probe().backend().linear(second, x, alone.columns(40, 7));
    assertArrayEquals(probe().floats(alone), probe().floats(together));
  }

  @Test
  default void linearReadsAColumnView() {
    float[] x = Probe.random(9, 9 * 20);
    Linear linear = new Linear(probe().packed(Probe.random(10, 40 * 20), 40, 20));
    Tensor plain = probe().zeros(9, 40);
    probe().backend().linear(linear, probe().floats(x, 9, 20), plain);
    Tensor viewed = probe().zeros(9, 40);
    probe().backend().linear(linear, probe().view(x, 9, 20), viewed);
    assertArrayEquals(probe().floats(plain), probe().floats(viewed));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 31, 32, 40, 64})
  default void linearWritesAColumnViewAndNothingBeside(int out) {
    float[] x = Probe.random(16, 9 * 20);
    Linear linear = new Linear(probe().packed(Probe.random(17, out * 20), out, 20));
    Tensor plain = probe().zeros(9, out);
    probe().backend().linear(linear, probe().floats(x, 9, 20), plain);
    Tensor wide = probe().zeros(9, out + 7);
    probe().backend().linear(linear, probe().floats(x, 9, 20), wide.columns(3, out));
    assertArrayEquals(probe().floats(plain), probe().floats(wide.columns(3, out)));
    assertArrayEquals(new float[9 * 3], probe().floats(wide.columns(0, 3)));
    assertArrayEquals(new float[9 * 4], probe().floats(wide.columns(out + 3, 4)));
  }

  @ParameterizedTest
  @CsvSource({"3, 40", "1, 40", "70, 40", "3, 1", "3, 16", "3, 257", "2, 5120"})
  default void gateMultipliesBySilu(int rows, int innerDim) {
    float[] y = Probe.random(11, rows * innerDim);
    float[] z = Probe.random(12, rows * innerDim, 8);
    double[] expected = new double[y.length];
    for (int i = 0; i < y.length; i++) {
      expected[i] = y[i] * Oracle.silu(z[i]);
    }
    Tensor ys = probe().floats(y, rows, innerDim);
    probe().backend().gate(new Gate.Plain(), ys, probe().view(z, rows, innerDim), ys);
    // |z| ≤ 8; exp within 4 half units, then three roundings.
    Probe.assertClose(expected, probe().floats(ys), 8 * 7 * HALF_ULP);
  }

  @Test
  default void gateOfLargeInputsStaysFinite() {
    float[] z = {-1e30f, -200, -88.5f, -88, 88, 89, 200, 1e30f};
    float[] y = {1, 1, 1, 1, 1, 1, 1, 1};
    Tensor out = probe().zeros(1, 8);
    probe().backend().gate(new Gate.Plain(), probe().floats(y, 1, 8), probe().floats(z, 1, 8), out);
    float[] gated = probe().floats(out);
    Probe.assertClose(new double[4], Arrays.copyOf(gated, 4), 1e-7);
    assertArrayEquals(Arrays.copyOfRange(z, 4, 8), Arrays.copyOfRange(gated, 4, 8), 1e-5f);
  }

  @ParameterizedTest
  @CsvSource({
    "3, 48, 1",
    "3, 48, 2",
    "3, 48, 6",
    "1, 48, 2",
    "70, 48, 2",
    "3, 34, 2",
    "3, 512, 2",
    "2, 5120, 1",
    "2, 5124, 1",
    "2, 8192, 1",
    "2, 8192, 8"
  })
  default void gateNormsEachGroupAfterGating(int rows, int innerDim, int groups) {
    float[] y = Probe.random(13, rows * innerDim);
    float[] z = Probe.random(14, rows * innerDim, 4);
    float[] weight = Probe.random(15, innerDim);
    double[] expected = new double[y.length];
    for (int row = 0; row < rows; row++) {
      double[] one = new double[innerDim];
      for (int i = 0; i < innerDim; i++) {
        one[i] = y[row * innerDim + i] * Oracle.silu(z[row * innerDim + i]);
      }
      System.arraycopy(
          Oracle.norm(one, weight, 1e-5f, groups), 0, expected, row * innerDim, innerDim);
    }
    Tensor out = probe().zeros(rows, innerDim);
    Gate gate = new Gate.Normed(new Norm(probe().floats(weight, innerDim), 1e-5f), groups);
    probe()
        .backend()
        .gate(gate, probe().floats(y, rows, innerDim), probe().floats(z, rows, innerDim), out);
    // As for norm, with the gate's own 7 roundings before; results at most 6 for these inputs.
    double width = (double) innerDim / groups;
    double tolerance = 6 * (width / 2 + 7 + 7 + 5) * HALF_ULP;
    Probe.assertClose(expected, probe().floats(out), tolerance);
  }
}
