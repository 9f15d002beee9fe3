package quamba.kernels;

import java.nio.ByteBuffer;

/** Reads a host tensor's floating-point elements as single precision. */
public final class HostFloats {
  private static final int HALF_EXPONENT_BITS = 5;
  private static final int HALF_FRACTION_BITS = 10;
  private static final int HALF_EXPONENT_MASK = (1 << HALF_EXPONENT_BITS) - 1;
  private static final int HALF_FRACTION_MASK = (1 << HALF_FRACTION_BITS) - 1;
  private static final float HALF_SMALLEST = 0x1p-24f;

  private HostFloats() {}

  /**
   * Reads {@code count} elements from element {@code from} on into {@code target[at …]}.
   *
   * @throws IllegalArgumentException if the elements are not floating-point
   */
  public static void read(HostTensor source, int from, int count, float[] target, int at) {
    ByteBuffer data = source.data();
    DType dtype = source.dtype();
    switch (dtype) {
      case F32 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] = data.getFloat((from + i) * Float.BYTES);
        }
      }
      case F64 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] = (float) data.getDouble((from + i) * Double.BYTES);
        }
      }
      case F16 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] = half(data.getShort((from + i) * Short.BYTES));
        }
      }
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] = Float.intBitsToFloat(data.getShort((from + i) * Short.BYTES) << 16);
        }
      }
      case I64, I32, I16, I8, U8, BOOL ->
          throw new IllegalArgumentException("expected floating-point elements, found " + dtype);
    }
  }

  /** IEEE 754 binary16 to binary32, exact. */
  static float half(short bits) {
    int exponent = (bits >> HALF_FRACTION_BITS) & HALF_EXPONENT_MASK;
    int fraction = bits & HALF_FRACTION_MASK;
    int sign = bits & 0x8000;
    if (exponent == 0) { // zero or subnormal: fraction · 2^-24
      float magnitude = fraction * HALF_SMALLEST;
      return sign == 0 ? magnitude : -magnitude;
    }
    // Bias 15 becomes 127; infinity and NaN keep an exponent of ones.
    int wide = exponent == HALF_EXPONENT_MASK ? 0xff : exponent + 112;
    return Float.intBitsToFloat(sign << 16 | wide << 23 | fraction << 13);
  }
}
