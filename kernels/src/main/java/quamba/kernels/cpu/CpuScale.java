package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Shape;

/** Scales of a matrix of codes. */
final class CpuScale {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  static final CpuScale NONE = new CpuScale(new float[0], 0, 0);

  private final float[] values;
  private final int at; // of the first
  private final int count; // 0 if there are none, 1 if all columns have the same

  private CpuScale(float[] values, int at, int count) {
    this.values = values;
    this.at = at;
    this.count = count;
  }

  static CpuScale of(CpuTensor scale) {
    return new CpuScale(scale.floats(), scale.offset(), scale.shape().dim(0));
  }

  /** The array that holds the scales. */
  float[] values() {
    return values;
  }

  /** Index of the first. */
  int at() {
    return at;
  }

  /** Whether columns have scales of their own. */
  boolean isPerColumn() {
    return count > 1;
  }

  /** The scale of a column. */
  float of(int column) {
    return values[isPerColumn() ? at + column : at];
  }

  /** The scales of a vector of columns. */
  FloatVector vector(int column) {
    return isPerColumn()
        ? FloatVector.fromArray(SPECIES, values, at + column)
        : FloatVector.broadcast(SPECIES, values[at]);
  }

  CpuScale columns(int first, int width) {
    return isPerColumn() ? new CpuScale(values, at + first, width) : this;
  }

  CpuTensor tensor() {
    if (count == 0) {
      throw new IllegalStateException("the tensor has no scale");
    }
    return CpuTensor.over(values, at, Shape.of(count));
  }
}
