package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Shape;

/**
 * Scales of a matrix of codes. One for all columns is held a vector wide, so that a vector of
 * scales is read from the array in either case: no branch in the loops.
 */
final class CpuScale {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  static final CpuScale NONE = new CpuScale(new float[0], 0, 0, 0);

  private final float[] values;
  private final int at; // of the first
  private final int count; // 0 if there are none, 1 for all columns or as many as there are
  private final int step; // from one column to the next, 0 or 1

  private CpuScale(float[] values, int at, int count, int step) {
    this.values = values;
    this.at = at;
    this.count = count;
    this.step = step;
  }

  static CpuScale of(CpuTensor scale) {
    int count = scale.shape().dim(0);
    if (count > 1) {
      return new CpuScale(scale.floats(), scale.offset(), count, 1);
    }
    float[] same = new float[SPECIES.length()];
    Arrays.fill(same, scale.floats()[scale.offset()]);
    return new CpuScale(same, 0, 1, 0);
  }

  /** The scale of a column. */
  float of(int column) {
    return values[at + column * step];
  }

  /** The scales of a vector of columns. */
  FloatVector vector(int column) {
    return FloatVector.fromArray(SPECIES, values, at + column * step);
  }

  CpuScale columns(int first, int width) {
    return step == 0 ? this : new CpuScale(values, at + first, width, 1);
  }

  CpuTensor tensor() {
    if (count == 0) {
      throw new IllegalStateException("the tensor has no scale");
    }
    return CpuTensor.over(values, at, Shape.of(count));
  }
}
