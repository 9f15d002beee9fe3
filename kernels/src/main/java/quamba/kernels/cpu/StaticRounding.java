package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** To int8 codes with scales that are given. */
final class StaticRounding implements StateRounding {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  private final int channels;
  private final int stateDim;
  private final float[] scales; // (stateDim, channels), so that neighbours are lanes

  /**
   * @param scale (heads, headDim, stateDim) f32
   */
  StaticRounding(CpuTensor scale) {
    channels = scale.shape().dim(0) * scale.shape().dim(1);
    stateDim = scale.shape().dim(2);
    scales = new float[channels * stateDim];
    for (int channel = 0; channel < channels; channel++) {
      for (int n = 0; n < stateDim; n++) {
        scales[n * channels + channel] = scale.floats()[scale.offset() + channel * stateDim + n];
      }
    }
  }

  @Override
  public void round(float[] s, int at, int channel, int lanes) {
    for (int n = 0; n < stateDim; n++) {
      int scaleAt = n * channels + channel;
      int i = at + n * lanes;
      int lane = 0;
      for (; lane <= lanes - LANES; lane += LANES) {
        FloatVector scale = FloatVector.fromArray(SPECIES, scales, scaleAt + lane);
        FloatVector value = FloatVector.fromArray(SPECIES, s, i + lane).div(scale);
        Codes.nearest(value).mul(scale).intoArray(s, i + lane);
      }
      for (; lane < lanes; lane++) {
        float scale = scales[scaleAt + lane];
        s[i + lane] = Codes.nearest(s[i + lane] / scale) * scale;
      }
    }
  }
}
