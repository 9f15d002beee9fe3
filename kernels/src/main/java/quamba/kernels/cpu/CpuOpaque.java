package quamba.kernels.cpu;

import quamba.kernels.Tensor;

/** A tensor in an order of its own, which only the operation that it was made for can read. */
abstract class CpuOpaque implements Tensor {
  @Override
  public Tensor rows(int first, int count) {
    throw noViews();
  }

  @Override
  public Tensor columns(int first, int count) {
    throw noViews();
  }

  @Override
  public Tensor scaled(Tensor scale) {
    throw noViews();
  }

  @Override
  public Tensor scale() {
    throw new IllegalStateException("the tensor has no scale");
  }

  private UnsupportedOperationException noViews() {
    return new UnsupportedOperationException("no views of a " + dtype() + " tensor " + shape());
  }
}
