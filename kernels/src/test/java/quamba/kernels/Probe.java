package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;

/** Carries numbers between a test and a backend. */
public final class Probe {
  private final Backend backend;

  public Probe(Backend backend) {
    this.backend = backend;
  }

  public Backend backend() {
    return backend;
  }

  /** {@code count} numbers in [−1, 1), the same for the same seed. */
  public static float[] random(long seed, int count) {
    Random random = new Random(seed);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = random.nextInt(1 << 24) * 0x1p-23f - 1;
    }
    return values;
  }

  /** {@link #random} times {@code factor}. */
  public static float[] random(long seed, int count, float factor) {
    float[] values = random(seed, count);
    for (int i = 0; i < count; i++) {
      values[i] *= factor;
    }
    return values;
  }

  /** A new F32 tensor of values. */
  public Tensor floats(float[] values, int... dims) {
    return backend.upload(HostTensor.of(Shape.of(dims), values));
  }

  /** A new zeroed F32 tensor. */
  public Tensor zeros(int... dims) {
    return backend.allocate(DType.F32, Shape.of(dims));
  }

  /** A packed matrix. */
  public Tensor packed(float[] values, int out, int in) {
    return backend.pack(HostTensor.of(Shape.of(out, in), values));
  }

  /** A new I32 vector. */
  public Tensor ints(int... values) {
    return ints(values, Shape.of(values.length));
  }

  /** A new I32 tensor. */
  public Tensor ints(int[] values, Shape shape) {
    Tensor tensor = backend.allocate(DType.I32, shape);
    write(tensor, values);
    return tensor;
  }

  /** Fills an I32 tensor. */
  public void write(Tensor tensor, int[] values) {
    ByteBuffer data = buffer(values.length * Integer.BYTES);
    data.asIntBuffer().put(values);
    backend.write(tensor, data);
  }

  /** The elements of an F32 tensor. */
  public float[] floats(Tensor tensor) {
    float[] values = new float[(int) tensor.shape().elements()];
    ByteBuffer data = buffer(values.length * Float.BYTES);
    backend.read(tensor, data);
    data.asFloatBuffer().get(values);
    return values;
  }

  /** The elements of an I32 tensor. */
  public int[] ints(Tensor tensor) {
    int[] values = new int[(int) tensor.shape().elements()];
    ByteBuffer data = buffer(values.length * Integer.BYTES);
    backend.read(tensor, data);
    data.asIntBuffer().get(values);
    return values;
  }

  /** The elements of an I8 tensor. */
  public byte[] bytes(Tensor tensor) {
    byte[] values = new byte[(int) tensor.shape().elements()];
    backend.read(tensor, ByteBuffer.wrap(values));
    return values;
  }

  /** {@code count} codes, the same for the same seed, the extreme ones among them. */
  public static byte[] randomCodes(long seed, int count) {
    byte[] codes = new byte[count];
    new Random(seed).nextBytes(codes);
    return codes;
  }

  /** {@code count} scales around {@code size}, within a factor of 2, the same for the same seed. */
  public static float[] randomScales(long seed, int count, float size) {
    float[] scales = random(seed, count);
    for (int i = 0; i < count; i++) {
      scales[i] = size * (1.25f + 0.75f * scales[i]);
    }
    return scales;
  }

  /** A new I8 matrix of codes with these scales. */
  public Tensor codes(byte[] codes, float[] scales, int rows, int columns) {
    return bytes(codes, rows, columns).scaled(floats(scales, scales.length));
  }

  /** A new zeroed I8 matrix with these scales. */
  public Tensor codes(float[] scales, int rows, int columns) {
    return codes(new byte[rows * columns], scales, rows, columns);
  }

  /** A new I8 tensor without a scale. */
  public Tensor bytes(byte[] values, int... dims) {
    Tensor tensor = backend.allocate(DType.I8, Shape.of(dims));
    backend.write(tensor, ByteBuffer.wrap(values));
    return tensor;
  }

  /** The columns {@code first …} of a matrix of codes that is wider by 5 columns. */
  public Tensor view(byte[] codes, float[] scales, int rows, int columns) {
    int width = columns + 5;
    byte[] wide = new byte[rows * width];
    Arrays.fill(wide, (byte) 99);
    for (int row = 0; row < rows; row++) {
      System.arraycopy(codes, row * columns, wide, row * width + 3, columns);
    }
    float[] wideScales = new float[scales.length == 1 ? 1 : width];
    Arrays.fill(wideScales, 1e30f);
    System.arraycopy(scales, 0, wideScales, scales.length == 1 ? 0 : 3, scales.length);
    return codes(wide, wideScales, rows, width).columns(3, columns);
  }

  /** The values of codes (rows, scales.length), or of any number of codes with one scale. */
  public static float[] values(byte[] codes, float[] scales) {
    float[] values = new float[codes.length];
    for (int i = 0; i < codes.length; i++) {
      values[i] = codes[i] * scales[i % scales.length];
    }
    return values;
  }

  /**
   * Fails unless each code is the nearest to a number within {@code tolerance} of the expected one,
   * which is in units of the scale.
   */
  public static void assertRounded(double[] expected, byte[] actual, double tolerance) {
    assertEquals(expected.length, actual.length, "number of elements");
    for (int i = 0; i < expected.length; i++) {
      double held = Math.max(-128, Math.min(127, expected[i]));
      if (!(Math.abs(held - actual[i]) <= 0.5 + tolerance)) {
        fail(
            "element %d: expected %s rounded, found %d, tolerance %.3g"
                .formatted(i, expected[i], actual[i], tolerance));
      }
    }
  }

  /** A batch of rows with these slots, token counts and positions. */
  public Batch batch(int[] slots, int[] counts, int[] positions) {
    int[] starts = new int[counts.length + 1];
    int single = 0;
    for (int row = 0; row < counts.length; row++) {
      starts[row + 1] = starts[row] + counts[row];
      single += starts[row + 1] == row + 1 ? 1 : 0;
    }
    int tokens = starts[counts.length];
    return new Batch(counts.length, tokens, single, ints(slots), ints(starts), ints(positions));
  }

  /** A batch of one row. */
  public Batch row(int slot, int tokens, int position) {
    return batch(new int[] {slot}, new int[] {tokens}, new int[] {position});
  }

  /** The columns {@code first …} of a matrix that is wider by 5 columns filled with NaN. */
  public Tensor view(float[] values, int rows, int columns) {
    int width = columns + 5;
    float[] wide = new float[rows * width];
    Arrays.fill(wide, Float.NaN);
    for (int row = 0; row < rows; row++) {
      System.arraycopy(values, row * columns, wide, row * width + 3, columns);
    }
    return floats(wide, rows, width).columns(3, columns);
  }

  /** Fails unless each actual value is within {@code tolerance} of the expected one. */
  public static void assertClose(double[] expected, float[] actual, double tolerance) {
    assertEquals(expected.length, actual.length, "number of elements");
    for (int i = 0; i < expected.length; i++) {
      if (!(Math.abs(expected[i] - actual[i]) <= tolerance)) { // NaN fails
        fail(
            "element %d: expected %s, found %s, apart by %.3g, tolerance %.3g"
                .formatted(
                    i, expected[i], actual[i], Math.abs(expected[i] - actual[i]), tolerance));
      }
    }
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
