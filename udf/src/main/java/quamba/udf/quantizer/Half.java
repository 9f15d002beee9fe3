package quamba.udf.quantizer;

/** IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
final class Half {
  private static final int SIGN = 0x8000;
  private static final int INFINITE = 0x7c00;
  private static final int FLOAT_MAGNITUDE = 0x7fffffff;
  private static final int FLOAT_INFINITE = 0x7f800000;
  private static final int DROPPED_BITS = 13; // of a float's fraction
  private static final int BIAS_CHANGE = 112 << 23; // exponent bias 127 becomes 15
  private static final int SMALLEST_NORMAL = 113 << 23; // 2^-14 as a float's bits
  private static final int OVERFLOW = 0x477ff000; // 65520, halfway to 2^16, as a float's bits

  private Half() {}

  /** The nearest value, ties to even; from 65520 on infinite. */
  static short bits(float value) {
    int bits = Float.floatToRawIntBits(value);
    int magnitude = bits & FLOAT_MAGNITUDE;
    int sign = (bits >>> 16) & SIGN;
    int half;
    if (magnitude > FLOAT_INFINITE) {
      half = INFINITE | 1;
    } else if (magnitude >= OVERFLOW) {
      half = INFINITE;
    } else if (magnitude < SMALLEST_NORMAL) {
      half = (int) Math.rint(Float.intBitsToFloat(magnitude) * 0x1p24);
    } else {
      int even = (magnitude >>> DROPPED_BITS) & 1;
      int up = magnitude + (1 << (DROPPED_BITS - 1)) - 1 + even;
      half = (up - BIAS_CHANGE) >>> DROPPED_BITS;
    }
    return (short) (sign | half);
  }

  /** The value of {@code bits}, exact. */
  static float value(short bits) {
    int magnitude = bits & (SIGN - 1);
    float value;
    if (magnitude >= INFINITE) {
      value = Float.intBitsToFloat(FLOAT_INFINITE | (magnitude - INFINITE) << DROPPED_BITS);
    } else if (magnitude < 1 << 10) {
      value = magnitude * 0x1p-24f;
    } else {
      value = Float.intBitsToFloat((magnitude << DROPPED_BITS) + BIAS_CHANGE);
    }
    return bits < 0 ? -value : value;
  }

  /** The nearest value that binary16 has. */
  static float round(float value) {
    return value(bits(value));
  }
}
