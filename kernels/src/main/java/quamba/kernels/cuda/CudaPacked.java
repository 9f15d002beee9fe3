package quamba.kernels.cuda;

import quamba.kernels.DType;
import quamba.kernels.Shape;

/**
 * A matrix (out, in) in the order of {@link CudaPacking}: f32 values for F32 inputs, and for I8
 * inputs, on devices without warpgroups, codes with a scale a row. Its dtype is that of the inputs.
 */
final class CudaPacked extends CudaOpaque {
  private final CudaTensor elements; // (panels, groups, PANEL, group) of the inputs' dtype
  private final CudaTensor rowScales; // (out) f32, of codes; (0) of values

  private CudaPacked(Shape shape, CudaTensor elements, CudaTensor rowScales) {
    super(elements.dtype(), shape);
    this.elements = elements;
    this.rowScales = rowScales;
  }

  static CudaPacked values(Shape shape, CudaTensor elements) {
    CudaTensor none = CudaTensor.dense(DType.F32, Shape.of(0), elements.address());
    return new CudaPacked(shape, elements, none);
  }

  static CudaPacked codes(Shape shape, CudaTensor elements, CudaTensor rowScales) {
    return new CudaPacked(shape, elements, rowScales);
  }

  /** All elements, those that fill up panels and groups among them. */
  CudaTensor elements() {
    return elements;
  }

  /** What a row's codes are multiplied by. */
  CudaTensor rowScales() {
    return rowScales;
  }
}
