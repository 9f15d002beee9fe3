package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * exp, SiLU and softplus, a vector at a time and, with the same steps and so the same bits, a
 * number at a time for what is left over. Within 2 units in the last place of the exact value where
 * that is a normal number. Not for NaN, which exp holds to a finite result; SiLU and softplus of
 * NaN are NaN.
 */
final class Exponential {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  // exp(x) = 2^n · e^r with n = round(x / ln 2); ln 2 in two parts so that n · HIGH is exact.
  private static final float LOG2_E = 1.44269504f;
  private static final float LN2_HIGH = 0x1.62e4p-1f;
  private static final float LN2_LOW = 0x1.7f7d1cp-20f;
  // Adding 1.5 · 2^23 rounds to an integer, which then is the low bits of the sum.
  private static final float ROUND = 0x1.8p23f;
  private static final int FRACTION_BITS = 23;
  private static final int BIAS = 127 << FRACTION_BITS;
  // Arguments are held to where 2^n is a normal number: results to 2^-126 … 2^127.
  private static final float LOWEST = -87.33654f;
  private static final float HIGHEST = 88.02969f;
  // The same as integers, by which floats are held faster: positive ones order as their bits do,
  // negative ones as their bits do once the sign is flipped.
  private static final int SIGN = Integer.MIN_VALUE;
  private static final int LOWEST_FLIPPED = Float.floatToRawIntBits(LOWEST) ^ SIGN;
  private static final int HIGHEST_BITS = Float.floatToRawIntBits(HIGHEST);
  // Taylor coefficients 1/k!: |r| ≤ ln 2 / 2, so the first omitted term is below 2^-27.
  private static final float E2 = 1f / 2;
  private static final float E3 = 1f / 6;
  private static final float E4 = 1f / 24;
  private static final float E5 = 1f / 120;
  private static final float E6 = 1f / 720;
  private static final float E7 = 1f / 5040;
  // log1p(w) = 2 (s + s³/3 + s⁵/5 + …) with s = w / (2 + w) ≤ 1/3: omitted terms below 2^-28.
  private static final float L3 = 1f / 3;
  private static final float L5 = 1f / 5;
  private static final float L7 = 1f / 7;
  private static final float L9 = 1f / 9;
  private static final float L11 = 1f / 11;
  private static final float L13 = 1f / 13;
  private static final float L15 = 1f / 15;

  private Exponential() {}

  static FloatVector exp(FloatVector x) {
    FloatVector held =
        x.reinterpretAsInts()
            .min(HIGHEST_BITS)
            .lanewise(VectorOperators.XOR, SIGN)
            .min(LOWEST_FLIPPED)
            .lanewise(VectorOperators.XOR, SIGN)
            .reinterpretAsFloats();
    FloatVector sum = held.fma(splat(LOG2_E), splat(ROUND));
    FloatVector n = sum.sub(ROUND);
    FloatVector r = n.fma(splat(-LN2_HIGH), held);
    r = n.fma(splat(-LN2_LOW), r);
    FloatVector p = r.fma(splat(E7), splat(E6));
    p = p.fma(r, splat(E5));
    p = p.fma(r, splat(E4));
    p = p.fma(r, splat(E3));
    p = p.fma(r, splat(E2));
    p = p.fma(r, splat(1));
    p = p.fma(r, splat(1));
    FloatVector power =
        sum.reinterpretAsInts()
            .lanewise(VectorOperators.LSHL, FRACTION_BITS)
            .add(BIAS)
            .reinterpretAsFloats();
    return p.mul(power);
  }

  static float exp(float x) {
    int below = Math.min(Float.floatToRawIntBits(x), HIGHEST_BITS);
    float held = Float.intBitsToFloat(Math.min(below ^ SIGN, LOWEST_FLIPPED) ^ SIGN);
    float sum = Math.fma(held, LOG2_E, ROUND);
    float n = sum - ROUND;
    float r = Math.fma(n, -LN2_HIGH, held);
    r = Math.fma(n, -LN2_LOW, r);
    float p = Math.fma(r, E7, E6);
    p = Math.fma(p, r, E5);
    p = Math.fma(p, r, E4);
    p = Math.fma(p, r, E3);
    p = Math.fma(p, r, E2);
    p = Math.fma(p, r, 1);
    p = Math.fma(p, r, 1);
    return p * Float.intBitsToFloat((Float.floatToRawIntBits(sum) << FRACTION_BITS) + BIAS);
  }

  /** {@code x / (1 + exp(−x))}. */
  static FloatVector silu(FloatVector x) {
    return x.div(exp(x.neg()).add(1));
  }

  static float silu(float x) {
    return x / (exp(-x) + 1);
  }

  /**
   * {@code log(1 + exp(x))} as {@code max(x, 0) + log1p(exp(−|x|))}, which neither overflows nor
   * loses small results; above 17 the second term is below half a unit of x.
   */
  static FloatVector softplus(FloatVector x) {
    FloatVector positive = x.blend(0, x.compare(VectorOperators.LT, 0));
    FloatVector w = exp(x.abs().neg());
    FloatVector s = w.div(w.add(2));
    FloatVector square = s.mul(s);
    FloatVector p = square.fma(splat(L15), splat(L13));
    p = p.fma(square, splat(L11));
    p = p.fma(square, splat(L9));
    p = p.fma(square, splat(L7));
    p = p.fma(square, splat(L5));
    p = p.fma(square, splat(L3));
    p = p.fma(square, splat(1));
    return s.add(s).fma(p, positive);
  }

  static float softplus(float x) {
    float positive = x < 0 ? 0 : x;
    float w = exp(-Math.abs(x));
    float s = w / (w + 2);
    float square = s * s;
    float p = Math.fma(square, L15, L13);
    p = Math.fma(p, square, L11);
    p = Math.fma(p, square, L9);
    p = Math.fma(p, square, L7);
    p = Math.fma(p, square, L5);
    p = Math.fma(p, square, L3);
    p = Math.fma(p, square, 1);
    return Math.fma(s + s, p, positive);
  }

  private static FloatVector splat(float value) {
    return FloatVector.broadcast(SPECIES, value);
  }
}
