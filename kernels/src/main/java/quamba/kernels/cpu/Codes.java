package quamba.kernels.cpu;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Between int8 codes and numbers, a vector at a time and, with the same steps and so the same bits,
 * a number at a time for what is left over.
 */
final class Codes {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = FLOATS.length();

  /** As many bytes as there are floats in a vector, where such vectors exist. */
  private static final VectorSpecies<Byte> BYTES =
      LANES == 16 ? ByteVector.SPECIES_128 : ByteVector.SPECIES_64;

  /** Whether there are. */
  static final boolean HAS_VECTORS = BYTES.length() == LANES;

  /** Elements done a vector at a time. */
  private static final int STEP = HAS_VECTORS ? LANES : Integer.MAX_VALUE;

  private static final float LOWEST = Byte.MIN_VALUE;
  private static final float HIGHEST = Byte.MAX_VALUE;

  // Adding 1.5 · 2^23 rounds to an integer, ties to even, which then is the low bits of the sum.
  private static final float ROUND = 0x1.8p23f;

  private Codes() {}

  /** {@code to = code} for {@code count} codes. */
  static void cast(byte[] codes, int codesAt, float[] to, int at, int count) {
    int i = 0;
    for (; i <= count - STEP; i += LANES) {
      load(codes, codesAt + i).intoArray(to, at + i);
    }
    for (; i < count; i++) {
      to[at + i] = codes[codesAt + i];
    }
  }

  /** {@code to = code · scale} for {@code count} codes, the first of column {@code column}. */
  static void widen(
      byte[] codes, int codesAt, CpuScale scale, int column, float[] to, int at, int count) {
    int i = 0;
    for (; i <= count - STEP; i += LANES) {
      load(codes, codesAt + i).mul(scale.vector(column + i)).intoArray(to, at + i);
    }
    for (; i < count; i++) {
      to[at + i] = codes[codesAt + i] * scale.of(column + i);
    }
  }

  /** The reverse of {@link #widen}: rounded to nearest, ties to even, and held to the range. */
  static void even(
      float[] from, int at, CpuScale scale, int column, byte[] codes, int codesAt, int count) {
    int i = 0;
    for (; i <= count - STEP; i += LANES) {
      FloatVector value = FloatVector.fromArray(FLOATS, from, at + i);
      storeEven(value.div(scale.vector(column + i)), codes, codesAt + i);
    }
    for (; i < count; i++) {
      codes[codesAt + i] = (byte) nearest(from[at + i] / scale.of(column + i));
    }
  }

  /** As {@link #even(float[], int, CpuScale, int, byte[], int, int)}, but ties away from zero. */
  static void away(
      float[] from, int at, CpuScale scale, int column, byte[] codes, int codesAt, int count) {
    int i = 0;
    for (; i <= count - STEP; i += LANES) {
      FloatVector value = FloatVector.fromArray(FLOATS, from, at + i);
      storeAway(value.div(scale.vector(column + i)), codes, codesAt + i);
    }
    for (; i < count; i++) {
      codes[codesAt + i] = away(from[at + i] / scale.of(column + i));
    }
  }

  /** The integer nearest to {@code value}, ties away from zero, held to the range. */
  static byte away(float value) {
    float held = held(value);
    float nearest = held + ROUND - ROUND;
    float rest = held - nearest;
    float push = held > 0 && rest == 0.5f ? 1 : held < 0 && rest == -0.5f ? -1 : 0;
    return (byte) (nearest + push);
  }

  /** The integer nearest to {@code value}, ties to even, held to the range. */
  static float nearest(float value) {
    return held(value) + ROUND - ROUND;
  }

  /** The integers nearest to {@code value}, ties to even, held to the range. */
  static FloatVector nearest(FloatVector value) {
    return held(value).add(ROUND).sub(ROUND);
  }

  private static float held(float value) {
    float low = value < LOWEST ? LOWEST : value;
    return low > HIGHEST ? HIGHEST : low;
  }

  private static FloatVector held(FloatVector value) {
    FloatVector low = value.blend(LOWEST, value.compare(VectorOperators.LT, LOWEST));
    return low.blend(HIGHEST, low.compare(VectorOperators.GT, HIGHEST));
  }

  /** Numbers halfway between integers that would round towards zero, a little further from it. */
  private static FloatVector pushed(FloatVector held) {
    FloatVector rest = held.sub(held.add(ROUND).sub(ROUND));
    VectorMask<Float> up =
        rest.compare(VectorOperators.EQ, 0.5f).and(held.compare(VectorOperators.GT, 0));
    VectorMask<Float> down =
        rest.compare(VectorOperators.EQ, -0.5f).and(held.compare(VectorOperators.LT, 0));
    return held.add(0.25f, up).add(-0.25f, down);
  }

  /** A vector of codes. */
  static FloatVector load(byte[] codes, int at) {
    return (FloatVector)
        ByteVector.fromArray(BYTES, codes, at).convertShape(VectorOperators.B2F, FLOATS, 0);
  }

  /** Rounds to nearest, ties to even, and holds to the range. */
  static void storeEven(FloatVector values, byte[] codes, int at) {
    store(held(values), codes, at);
  }

  /** Rounds to nearest, ties away from zero, and holds to the range. */
  static void storeAway(FloatVector values, byte[] codes, int at) {
    store(pushed(held(values)), codes, at);
  }

  /** Rounds, ties to even: the code is the low bits of the sum with ROUND. */
  private static void store(FloatVector held, byte[] codes, int at) {
    IntVector bits = held.add(ROUND).reinterpretAsInts();
    ((ByteVector) bits.convertShape(VectorOperators.I2B, BYTES, 0)).intoArray(codes, at);
  }
}
