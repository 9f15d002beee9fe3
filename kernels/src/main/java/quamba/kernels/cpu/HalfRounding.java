package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Half;

/** To binary16, at most {@link #HIGHEST} in magnitude. */
record HalfRounding(int stateDim) implements StateRounding {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();
  private static final float HIGHEST = 65504;
  private static final int DROPPED_BITS = 13; // of a float's fraction
  private static final int DROPPED = (1 << DROPPED_BITS) - 1;
  private static final float SMALLEST_NORMAL = 0x1p-14f;

  /** Between a half and 1 floats are 2^-24 apart, as binary16's subnormal numbers. */
  private static final float SUBNORMAL = 0.75f;

  @Override
  public void round(float[] s, int at, int channel, int lanes) {
    int end = at + stateDim * lanes;
    int i = at;
    for (; i <= end - LANES; i += LANES) {
      nearest(held(FloatVector.fromArray(SPECIES, s, i))).intoArray(s, i);
    }
    for (; i < end; i++) {
      s[i] = Half.round(Math.max(-HIGHEST, Math.min(HIGHEST, s[i])));
    }
  }

  private static FloatVector held(FloatVector v) {
    FloatVector low = v.blend(-HIGHEST, v.compare(VectorOperators.LT, -HIGHEST));
    return low.blend(HIGHEST, low.compare(VectorOperators.GT, HIGHEST));
  }

  private static FloatVector nearest(FloatVector v) {
    IntVector bits = v.reinterpretAsInts();
    IntVector even = bits.lanewise(VectorOperators.LSHR, DROPPED_BITS).and(1);
    FloatVector normal = bits.add(even).add(DROPPED >> 1).and(~DROPPED).reinterpretAsFloats();
    VectorMask<Float> small = v.abs().compare(VectorOperators.LT, SMALLEST_NORMAL);
    return normal.blend(v.add(SUBNORMAL).sub(SUBNORMAL), small);
  }
}
