package quamba.kernels.cuda;

import quamba.kernels.DType;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/**
 * Elements in device memory, or a view of a part of them. Entries of the outermost dimension lie
 * {@code stride} elements apart, what is within an entry lies dense; a packed matrix has the order
 * of {@link CudaPacking} and no views.
 */
final class CudaTensor implements Tensor {
  private enum Order {
    ROWS,
    PACKED
  }

  private final DType dtype;
  private final Shape shape;
  private final CudaAddress address;
  private final int stride;
  private final Order order;

  private CudaTensor(DType dtype, Shape shape, CudaAddress address, int stride, Order order) {
    this.dtype = dtype;
    this.shape = shape;
    this.address = address;
    this.stride = stride;
    this.order = order;
  }

  /** A dense tensor at this address. */
  static CudaTensor dense(DType dtype, Shape shape, CudaAddress address) {
    return new CudaTensor(dtype, shape, address, Math.toIntExact(width(shape)), Order.ROWS);
  }

  /** A packed matrix at this address. */
  static CudaTensor packed(DType dtype, Shape shape, CudaAddress address) {
    return new CudaTensor(dtype, shape, address, 0, Order.PACKED);
  }

  @Override
  public DType dtype() {
    return dtype;
  }

  @Override
  public Shape shape() {
    return shape;
  }

  /** Where the first element lies. */
  CudaAddress address() {
    return address;
  }

  /** Elements from one outermost entry to the next. */
  int stride() {
    return stride;
  }

  /** Whether this is a packed matrix. */
  boolean isPacked() {
    return order == Order.PACKED;
  }

  /** Whether entries follow each other without a gap. */
  boolean isDense() {
    return stride == width(shape) || entries() <= 1;
  }

  /** Outermost entries. */
  int entries() {
    return shape.rank() == 0 ? 1 : shape.dim(0);
  }

  /** Bytes of one outermost entry. */
  long entryBytes() {
    return width(shape) * dtype.bytes();
  }

  /** Where an outermost entry lies. */
  CudaAddress entry(int index) {
    return address.plus((long) index * stride * dtype.bytes());
  }

  @Override
  public CudaTensor rows(int first, int count) {
    requireRows();
    if (first < 0 || count < 0 || shape.rank() == 0 || count > shape.dim(0) - first) {
      throw new IndexOutOfBoundsException(
          "rows %d to %d of %s".formatted(first, (long) first + count, shape));
    }
    int[] dims = new int[shape.rank()];
    for (int axis = 1; axis < dims.length; axis++) {
      dims[axis] = shape.dim(axis);
    }
    dims[0] = count;
    return new CudaTensor(dtype, Shape.of(dims), entry(first), stride, order);
  }

  @Override
  public CudaTensor columns(int first, int count) {
    requireRows();
    if (shape.rank() != 2 || first < 0 || count < 0 || count > shape.dim(1) - first) {
      throw new IndexOutOfBoundsException(
          "columns %d to %d of %s".formatted(first, (long) first + count, shape));
    }
    CudaAddress column = address.plus((long) first * dtype.bytes());
    return new CudaTensor(dtype, Shape.of(shape.dim(0), count), column, stride, order);
  }

  /**
   * {@inheritDoc}
   *
   * @throws UnsupportedOperationException always: this backend computes in f32
   */
  @Override
  public CudaTensor scaled(Tensor scale) {
    throw new UnsupportedOperationException("the cuda backend computes in f32, without codes");
  }

  @Override
  public CudaTensor scale() {
    throw new IllegalStateException("the tensor has no scale");
  }

  private void requireRows() {
    if (isPacked()) {
      throw new UnsupportedOperationException("a packed matrix has no views");
    }
  }

  /** Elements of one outermost entry. */
  private static long width(Shape shape) {
    long width = 1;
    for (int axis = 1; axis < shape.rank(); axis++) {
      width = Math.multiplyExact(width, shape.dim(axis));
    }
    return width;
  }
}
