package quamba.kernels.cuda;

import quamba.kernels.DType;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/** A tensor in an order of its own, which only the operations that it was made for can read. */
abstract class CudaOpaque implements Tensor {
  private final DType dtype;
  private final Shape shape;

  CudaOpaque(DType dtype, Shape shape) {
    this.dtype = dtype;
    this.shape = shape;
  }

  @Override
  public final DType dtype() {
    return dtype;
  }

  @Override
  public final Shape shape() {
    return shape;
  }

  @Override
  public final Tensor rows(int first, int count) {
    throw noViews();
  }

  @Override
  public final Tensor columns(int first, int count) {
    throw noViews();
  }

  @Override
  public final Tensor scaled(Tensor scale) {
    throw noViews();
  }

  @Override
  public final Tensor scale() {
    throw new IllegalStateException("the tensor has no scale");
  }

  private UnsupportedOperationException noViews() {
    return new UnsupportedOperationException("no views of a " + dtype + " tensor " + shape);
  }
}
