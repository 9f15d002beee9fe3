package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Behaviour of linear and embed with codes: integer results are exact. */
public interface CodesContract {
  Probe probe();

  /** A matrix of codes: 8-bit, or 4-bit with its nibbles unpacked. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Matrix(QuantizedWeight weight, int[] codes, float[] scales) {
    int out() {
      return weight.out();
    }

    int in() {
      return weight.in();
    }

    /** 8-bit codes of every value. */
    static Matrix eightBit(long seed, int out, int in) {
      byte[] codes = Probe.randomCodes(seed, out * in);
      int[] wide = new int[codes.length];
      Arrays.setAll(wide, i -> codes[i]);
      float[] scales = Probe.randomScales(seed + 1, out, 1f / 127);
      HostTensor host = new HostTensor(DType.I8, Shape.of(out, in), ByteBuffer.wrap(codes));
      HostTensor hostScales = HostTensor.of(Shape.of(out), scales);
      return new Matrix(QuantizedWeight.of(host, hostScales), wide, scales);
    }

    /** 4-bit codes of every value, scales of either sign, and a row of zeros. */
    public static Matrix fourBit(long seed, int out, int in) {
      byte[] pairs = Probe.randomCodes(seed, out * in / 2);
      Arrays.fill(pairs, 0, in / 2, (byte) 0);
      int[] wide = new int[out * in];
      for (int i = 0; i < pairs.length; i++) {
        wide[2 * i] = (byte) (pairs[i] << 4) / 16;
        wide[2 * i + 1] = Math.floorDiv(pairs[i], 16);
      }
      int groups = (in + 127) / 128;
      float[] scales = Probe.randomScales(seed + 1, out * groups, 1f / 7);
      for (int i = 0; i < scales.length; i += 3) {
        scales[i] = -scales[i];
      }
      HostTensor host = new HostTensor(DType.U8, Shape.of(out, in / 2), ByteBuffer.wrap(pairs));
      HostTensor hostScales = HostTensor.of(Shape.of(out, groups), scales);
      return new Matrix(QuantizedWeight.of(host, hostScales), wide, scales);
    }

    /** (out, in) the values of the codes. */
    float[] values() {
      float[] values = new float[codes.length];
      int groups = scales.length / out();
      for (int i = 0; i < values.length; i++) {
        int group =
            groups * (i / in()) + (weight instanceof QuantizedWeight.Int4 ? i % in() / 128 : 0);
        values[i] = codes[i] * scales[group];
      }
      return values;
    }

    /** The same as 8-bit codes with a scale for each row (spec 6.6). */
    Matrix expanded() {
      float[] rowScales = new float[out()];
      int[] wide = new int[codes.length];
      float[] values = values();
      for (int row = 0; row < out(); row++) {
        float most = 0;
        for (int i = row * in(); i < (row + 1) * in(); i++) {
          most = Math.max(most, Math.abs(values[i]));
        }
        rowScales[row] = most / 127;
        for (int i = 0; i < in() && most > 0; i++) {
          double ratio = scales[row * scales.length / out() + i / 128] / rowScales[row];
          double unit = Math.scalb(1.0, Math.getExponent(ratio) - 10); // 11 bits, as binary16 has
          wide[row * in() + i] =
              (int) Math.rint(codes[row * in() + i] * Math.rint(ratio / unit) * unit);
        }
      }
      return new Matrix(weight, wide, rowScales);
    }
  }

  private static float[] product(Matrix matrix, byte[] x, float scale) {
    int in = matrix.in();
    int rows = x.length / in;
    float[] y = new float[rows * matrix.out()];
    for (int row = 0; row < rows; row++) {
      for (int o = 0; o < matrix.out(); o++) {
        int sum = 0;
        for (int i = 0; i < in; i++) {
          sum += x[row * in + i] * matrix.codes()[o * in + i];
        }
        y[row * matrix.out() + o] = sum * matrix.scales()[o] * scale;
      }
    }
    return y;
  }

  /** {@code y / scale} rounded, ties to even, and held. */
  private static byte[] rounded(float[] y, float[] scales) {
    byte[] codes = new byte[y.length];
    for (int i = 0; i < y.length; i++) {
      double code = Math.rint(y[i] / scales[i % scales.length]);
      codes[i] = (byte) Math.max(-128, Math.min(127, code));
    }
    return codes;
  }

  private void assertExact(Matrix matrix, Matrix integers, int rows) {
    byte[] x = Probe.randomCodes(50, rows * matrix.in());
    float[] scale = {0.013f};
    Tensor xs = probe().codes(x, scale, rows, matrix.in());
    float[] expected = product(integers, x, scale[0]);
    Linear linear = new Linear(probe().backend().pack(matrix.weight(), DType.I8));

    Tensor floats = probe().zeros(rows, matrix.out());
    probe().backend().linear(linear, xs, floats);
    assertArrayEquals(expected, probe().floats(floats));

    // So that some results are held to −128 and 127.
    float[] scales = Probe.randomScales(51, matrix.out(), (float) Math.sqrt(matrix.in()) / 250);
    Tensor codes = probe().codes(scales, rows, matrix.out());
    probe().backend().linear(linear, xs, codes);
    assertArrayEquals(rounded(expected, scales), probe().bytes(codes));
  }

  @ParameterizedTest
  @CsvSource({
    "5, 33, 45",
    "1, 33, 45",
    "2, 33, 45",
    "3, 33, 45",
    "4, 33, 45",
    "8, 33, 45",
    "9, 33, 45",
    "15, 33, 45",
    "16, 33, 45",
    "17, 33, 45",
    "40, 33, 45",
    "64, 33, 45",
    "65, 33, 45",
    "130, 33, 45",
    "300, 33, 45",
    "130, 1025, 200",
    "5, 1, 45",
    "5, 16, 45",
    "5, 512, 45",
    "5, 1024, 45",
    "5, 1025, 45",
    "5, 2048, 45",
    "5, 2600, 45",
    "5, 33, 1",
    "5, 33, 31",
    "5, 33, 32",
    "5, 33, 700"
  })
  default void linearOfEightBitCodesIsExact(int rows, int in, int out) {
    Matrix matrix = Matrix.eightBit(52, out, in);
    assertExact(matrix, matrix, rows);
  }

  @ParameterizedTest
  @CsvSource({
    "5, 300, 45",
    "1, 300, 45",
    "8, 300, 45",
    "9, 300, 45",
    "16, 300, 45",
    "17, 300, 45",
    "40, 300, 45",
    "64, 300, 45",
    "65, 300, 45",
    "130, 300, 45",
    "300, 300, 45",
    "40, 1100, 200",
    "5, 2, 45",
    "5, 126, 45",
    "5, 128, 45",
    "5, 130, 45",
    "5, 256, 45",
    "5, 1100, 45",
    "5, 300, 1",
    "5, 300, 33"
  })
  default void linearOfFourBitCodesIsExact(int rows, int in, int out) {
    Matrix matrix = Matrix.fourBit(53, out, in);
    assertExact(matrix, matrix.expanded(), rows);
  }

  @ParameterizedTest
  @ValueSource(ints = {1024, 1040, 5000})
  default void sumsOfTheLargestProductsAreExact(int in) {
    byte[] lowest = new byte[3 * in];
    Arrays.fill(lowest, Byte.MIN_VALUE);
    HostTensor host = new HostTensor(DType.I8, Shape.of(3, in), ByteBuffer.wrap(lowest));
    HostTensor scales = HostTensor.of(Shape.of(3), 1, 1, 1);
    Tensor weight = probe().backend().pack(QuantizedWeight.of(host, scales), DType.I8);
    Tensor out = probe().zeros(3, 3);
    Tensor x = probe().codes(lowest, new float[] {1}, 3, in);
    probe().backend().linear(new Linear(weight), x, out);
    float[] expected = new float[9];
    Arrays.fill(expected, 16384 * in);
    assertArrayEquals(expected, probe().floats(out));
  }

  @Test
  default void linearRoundsTiesToEvenAndHolds() {
    byte[] x = {1, 3, 5, -1, -3, -5, 127, -128};
    int[] factors = {1, 1, 1, 1, 1, 1, 100, 100};
    byte[] weight = new byte[64];
    for (int i = 0; i < 8; i++) {
      weight[i * 8 + i] = (byte) factors[i];
    }
    float[] halves = new float[8];
    Arrays.fill(halves, 0.5f);
    HostTensor host = new HostTensor(DType.I8, Shape.of(8, 8), ByteBuffer.wrap(weight));
    HostTensor scales = HostTensor.of(Shape.of(8), halves);
    Tensor packed = probe().backend().pack(QuantizedWeight.of(host, scales), DType.I8);
    Tensor out = probe().codes(new float[] {1}, 1, 8);
    probe().backend().linear(new Linear(packed), probe().codes(x, new float[] {1}, 1, 8), out);
    assertArrayEquals(new byte[] {0, 2, 2, 0, -2, -2, 127, -128}, probe().bytes(out));
  }

  @ParameterizedTest
  @CsvSource({"5, 300, 45", "1, 2, 45", "64, 130, 33", "5, 1100, 3"})
  default void linearOfFloatsTakesTheValuesOfCodes(int rows, int in, int out) {
    for (Matrix matrix : new Matrix[] {Matrix.fourBit(54, out, in), Matrix.eightBit(55, out, in)}) {
      float[] x = Probe.random(56, rows * in, 1f / in);
      Tensor y = probe().zeros(rows, out);
      Linear linear = new Linear(probe().backend().pack(matrix.weight(), DType.F32));
      probe().backend().linear(linear, probe().floats(x, rows, in), y);
      // Values are at most 8 · 2 / 7 or 128 · 2 / 127, inputs at most 1 / in: partial sums below 3.
      double[] expected = Oracle.linear(x, matrix.values(), rows, in, out);
      Probe.assertClose(expected, probe().floats(y), 3 * in * 0x1p-24);
    }
  }

  @Test
  default void linearOfCodesReadsAndWritesColumnViews() {
    Matrix matrix = Matrix.eightBit(57, 40, 20);
    byte[] x = Probe.randomCodes(58, 9 * 20);
    float[] scales = Probe.randomScales(59, 40, 0.05f);
    Linear linear = new Linear(probe().backend().pack(matrix.weight(), DType.I8));
    Tensor plain = probe().codes(scales, 9, 40);
    probe().backend().linear(linear, probe().codes(x, new float[] {0.02f}, 9, 20), plain);
    Tensor viewed = probe().view(new byte[9 * 40], scales, 9, 40);
    probe().backend().linear(linear, probe().view(x, new float[] {0.02f}, 9, 20), viewed);
    assertArrayEquals(probe().bytes(plain), probe().bytes(viewed));
  }

  /** Of i8 and of f32, as a matrix is cut whose outputs differ in precision. */
  @ParameterizedTest
  @CsvSource({"1, 300", "8, 300", "9, 46", "17, 300", "40, 2560", "64, 300", "65, 300", "300, 46"})
  default void linearsOfCodesEqualLinearOneByOne(int rows, int in) {
    byte[] x = Probe.randomCodes(62, rows * in);
    float[] scale = {0.02f};
    List<QuantizedWeight> weights =
        List.of(
            Matrix.fourBit(63, 80, in).weight(),
            Matrix.fourBit(64, 33, in).weight(),
            Matrix.eightBit(65, 7, in).weight());
    List<List<Integer>> cuts =
        List.of(List.of(0), List.of(0, 1), List.of(0, 2), List.of(2, 1), List.of(0, 1, 2));
    for (List<Integer> cut : cuts) {
      for (Tensor xs :
          List.of(probe().codes(x, scale, rows, in), probe().view(x, scale, rows, in))) {
        List<Product> together = new ArrayList<>();
        List<Product> alone = new ArrayList<>();
        for (int which : cut) {
          Linear linear = new Linear(probe().backend().pack(weights.get(which), DType.I8));
          int out = weights.get(which).out();
          for (List<Product> products : List.of(together, alone)) {
            float[] scales = Probe.randomScales(66, out, (float) Math.sqrt(in) / 250);
            Tensor outs =
                which == cut.get(0) ? probe().codes(scales, rows, out) : probe().zeros(rows, out);
            products.add(new Product(linear, outs));
          }
        }
        probe().backend().linears(xs, together);
        alone.forEach(product -> probe().backend().linear(product.linear(), xs, product.out()));
        assertArrayEquals(probe().bytes(alone.get(0).out()), probe().bytes(together.get(0).out()));
        for (int i = 1; i < cut.size(); i++) {
          assertArrayEquals(
              probe().floats(alone.get(i).out()), probe().floats(together.get(i).out()));
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"7, 4", "1, 4", "33, 4", "100, 4", "7, 2", "7, 16", "7, 130", "7, 300", "40, 2560"})
  default void embedGivesTheValuesThatLinearUses(int entries, int dim) {
    Matrix eight = Matrix.eightBit(60, entries, dim);
    Matrix four = Matrix.fourBit(61, entries, dim);
    Matrix expanded = four.expanded();
    Matrix wide = new Matrix(eight.weight(), expanded.codes(), expanded.scales());
    assertEmbeds(eight, eight.values(), DType.I8);
    assertEmbeds(eight, eight.values(), DType.F32);
    assertEmbeds(four, wide.values(), DType.I8);
    assertEmbeds(four, four.values(), DType.F32);
  }

  private void assertEmbeds(Matrix matrix, float[] table, DType input) {
    int[] ids = new int[2 * matrix.out()];
    float[] expected = new float[ids.length * matrix.in()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (i * 5 + 3) % matrix.out();
      System.arraycopy(table, ids[i] * matrix.in(), expected, i * matrix.in(), matrix.in());
    }
    Tensor out = probe().zeros(ids.length, matrix.in());
    Tensor packed = probe().backend().pack(matrix.weight(), input);
    probe().backend().embed(probe().ints(ids), packed, out);
    assertArrayEquals(expected, probe().floats(out));
  }
}
