package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * exp, SiLU and softplus, within 2 units in the last place of the exact value where that is a
 * normal number. Numbers that fill no vector take the same steps and get the same bits. Not for
 * NaN, which exp holds to a finite result; SiLU and softplus of NaN are NaN.
 *
 * <p>Constants are whole vectors and are loaded at each use. Broadcasts would stay in registers,
 * but in some callers the compiler allocates an object for each of them.
 */
final class Exponential {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  private static final FloatVector HALF = splat(0.5f);
  private static final FloatVector ONE = splat(1);
  private static final FloatVector TWO = splat(2);

  // Arguments are held to where 2^n is a normal number: results to 2^-126 … 2^127. As integers,
  // which needs no masks: positive floats order as their bits do, negative ones as their bits do
  // once the sign is flipped.
  private static final IntVector SIGN = splatInt(Integer.MIN_VALUE);
  private static final IntVector HIGHEST = splatInt(Float.floatToRawIntBits(88.02969f));
  private static final IntVector LOWEST_FLIPPED = splatInt(Float.floatToRawIntBits(87.33654f));

  // exp(x) = 2^n · e^r with n = round(x / ln 2); ln 2 in two parts so that n · the first is exact.
  private static final FloatVector LOG2_E = splat(0x1.715476p0f);
  private static final FloatVector MINUS_LN2_HIGH = splat(-0x1.62e4p-1f);
  private static final FloatVector MINUS_LN2_LOW = splat(-0x1.7f7d1cp-20f);
  // Adding 1.5 · 2^23 rounds to an integer, which then is the low bits of the sum.
  private static final FloatVector ROUND = splat(0x1.8p23f);
  private static final int FRACTION_BITS = 23;
  private static final IntVector BIAS = splatInt(127 << FRACTION_BITS);
  // Taylor coefficients 1/k!: |r| ≤ ln 2 / 2, so the first omitted term is below 2^-27.
  private static final FloatVector E3 = splat(1f / 6);
  private static final FloatVector E4 = splat(1f / 24);
  private static final FloatVector E5 = splat(1f / 120);
  private static final FloatVector E6 = splat(1f / 720);
  private static final FloatVector E7 = splat(1f / 5040);

  // log1p(w) = 2 (s + s³/3 + s⁵/5 + …) with s = w / (2 + w) ≤ 1/3: omitted terms below 2^-28.
  private static final FloatVector L3 = splat(1f / 3);
  private static final FloatVector L5 = splat(1f / 5);
  private static final FloatVector L7 = splat(1f / 7);
  private static final FloatVector L9 = splat(1f / 9);
  private static final FloatVector L11 = splat(1f / 11);
  private static final FloatVector L13 = splat(1f / 13);
  private static final FloatVector L15 = splat(1f / 15);

  private Exponential() {}

  static FloatVector exp(FloatVector x) {
    FloatVector held =
        x.reinterpretAsInts()
            .lanewise(VectorOperators.MIN, HIGHEST)
            .lanewise(VectorOperators.XOR, SIGN)
            .lanewise(VectorOperators.MIN, LOWEST_FLIPPED)
            .lanewise(VectorOperators.XOR, SIGN)
            .reinterpretAsFloats();
    FloatVector sum = held.fma(LOG2_E, ROUND);
    FloatVector n = sum.sub(ROUND);
    FloatVector r = n.fma(MINUS_LN2_LOW, n.fma(MINUS_LN2_HIGH, held));
    FloatVector p = r.fma(E7, E6);
    p = p.fma(r, E5);
    p = p.fma(r, E4);
    p = p.fma(r, E3);
    p = p.fma(r, HALF);
    p = p.fma(r, ONE);
    p = p.fma(r, ONE);
    IntVector power = sum.reinterpretAsInts().lanewise(VectorOperators.LSHL, FRACTION_BITS);
    return p.mul(power.add(BIAS).reinterpretAsFloats());
  }

  static float exp(float x) {
    return exp(splat(x)).lane(0);
  }

  /** {@code x / (1 + exp(−x))}. */
  static FloatVector silu(FloatVector x) {
    return x.div(exp(x.neg()).add(ONE));
  }

  static float silu(float x) {
    return silu(splat(x)).lane(0);
  }

  /**
   * {@code log(1 + exp(x))} as {@code max(x, 0) + log1p(exp(−|x|))}, which neither overflows nor
   * loses small results; above 17 the second term is below half a unit of x.
   */
  static FloatVector softplus(FloatVector x) {
    FloatVector size = x.abs();
    FloatVector w = exp(size.neg());
    FloatVector s = w.div(w.add(TWO));
    FloatVector square = s.mul(s);
    FloatVector p = square.fma(L15, L13);
    p = p.fma(square, L11);
    p = p.fma(square, L9);
    p = p.fma(square, L7);
    p = p.fma(square, L5);
    p = p.fma(square, L3);
    p = p.fma(square, ONE);
    return s.add(s).fma(p, x.add(size).mul(HALF));
  }

  static float softplus(float x) {
    return softplus(splat(x)).lane(0);
  }

  private static FloatVector splat(float value) {
    return FloatVector.broadcast(SPECIES, value);
  }

  private static IntVector splatInt(int value) {
    return IntVector.broadcast(IntVector.SPECIES_PREFERRED, value);
  }
}
