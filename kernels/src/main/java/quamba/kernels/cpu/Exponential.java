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
 * <p>softplus has its constants as whole vectors: broadcasts are faster in a loop, but each costs
 * the compiler more of its budget for one method than the arithmetic does.
 */
final class Exponential {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  private static final float HALF = 0.5f;
  private static final float ONE = 1;
  private static final FloatVector TWO = splat(2);
  private static final FloatVector MEAN = splat(0.5f);

  // Arguments are held to where 2^n is a normal number: results to 2^-126 … 2^127. As integers,
  // which needs no masks: positive floats order as their bits do, negative ones as their bits do
  // once the sign is flipped.
  private static final int SIGN = Integer.MIN_VALUE;
  private static final int HIGHEST = Float.floatToRawIntBits(88.02969f);
  private static final int LOWEST_FLIPPED = Float.floatToRawIntBits(87.33654f);

  // exp(x) = 2^n · e^r with n = round(x / ln 2); ln 2 in two parts so that n · the first is exact.
  private static final float LOG2_E = 1.44269504f;
  private static final float MINUS_LN2_HIGH = -0x1.62e4p-1f;
  private static final float MINUS_LN2_LOW = -0x1.7f7d1cp-20f;
  // Adding 1.5 · 2^23 rounds to an integer, which then is the low bits of the sum.
  private static final float ROUND = 0x1.8p23f;
  private static final int FRACTION_BITS = 23;
  private static final int BIAS = 127 << FRACTION_BITS;
  // Taylor coefficients 1/k!: |r| ≤ ln 2 / 2, so the first omitted term is below 2^-27.
  private static final float E3 = 1f / 6;
  private static final float E4 = 1f / 24;
  private static final float E5 = 1f / 120;
  private static final float E6 = 1f / 720;
  private static final float E7 = 1f / 5040;

  // log1p(w) = 2 (s + s³/3 + s⁵/5 + …) with s = w / (2 + w) ≤ 1/3: omitted terms below 2^-28.
  private static final FloatVector L1 = splat(1);
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
            .lanewise(VectorOperators.MIN, splatInt(HIGHEST))
            .lanewise(VectorOperators.XOR, splatInt(SIGN))
            .lanewise(VectorOperators.MIN, splatInt(LOWEST_FLIPPED))
            .lanewise(VectorOperators.XOR, splatInt(SIGN))
            .reinterpretAsFloats();
    FloatVector sum = held.fma(splat(LOG2_E), splat(ROUND));
    FloatVector n = sum.sub(splat(ROUND));
    FloatVector r = n.fma(splat(MINUS_LN2_LOW), n.fma(splat(MINUS_LN2_HIGH), held));
    FloatVector p = r.fma(splat(E7), splat(E6));
    p = p.fma(r, splat(E5));
    p = p.fma(r, splat(E4));
    p = p.fma(r, splat(E3));
    p = p.fma(r, splat(HALF));
    p = p.fma(r, splat(ONE));
    p = p.fma(r, splat(ONE));
    IntVector power = sum.reinterpretAsInts().lanewise(VectorOperators.LSHL, FRACTION_BITS);
    return p.mul(power.add(splatInt(BIAS)).reinterpretAsFloats());
  }

  static float exp(float x) {
    return exp(splat(x)).lane(0);
  }

  /** {@code x / (1 + exp(−x))}. */
  static FloatVector silu(FloatVector x) {
    return x.div(exp(x.neg()).add(splat(ONE)));
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
    p = p.fma(square, L1);
    return s.add(s).fma(p, x.add(size).mul(MEAN));
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
