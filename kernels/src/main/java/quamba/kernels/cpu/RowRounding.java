package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** To int8 codes with a scale for each channel, its largest magnitude / 127. */
record RowRounding(int stateDim) implements StateRounding {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();
  private static final float MOST = 127;

  @Override
  public void round(float[] s, int at, int channel, int lanes) {
    int lane = 0;
    for (; lane <= lanes - LANES; lane += LANES) {
      vector(s, at + lane, lanes);
    }
    for (; lane < lanes; lane++) {
      one(s, at + lane, lanes);
    }
  }

  private void vector(float[] s, int at, int stride) {
    FloatVector most = FloatVector.zero(SPECIES);
    for (int n = 0; n < stateDim; n++) {
      FloatVector size = FloatVector.fromArray(SPECIES, s, at + n * stride).abs();
      most = most.blend(size, size.compare(VectorOperators.GT, most));
    }
    FloatVector scale = most.div(MOST);
    VectorMask<Float> none = scale.compare(VectorOperators.LT, Float.MIN_NORMAL);
    FloatVector divisor = scale.blend(1, none);
    FloatVector factor = scale.blend(0, none);
    for (int n = 0; n < stateDim; n++) {
      FloatVector value = FloatVector.fromArray(SPECIES, s, at + n * stride).div(divisor);
      Codes.nearest(value).mul(factor).intoArray(s, at + n * stride);
    }
  }

  private void one(float[] s, int at, int stride) {
    float most = 0;
    for (int n = 0; n < stateDim; n++) {
      most = Math.max(most, Math.abs(s[at + n * stride]));
    }
    float scale = most / MOST;
    for (int n = 0; n < stateDim; n++) {
      int i = at + n * stride;
      s[i] = scale < Float.MIN_NORMAL ? 0 : Codes.nearest(s[i] / scale) * scale;
    }
  }
}
