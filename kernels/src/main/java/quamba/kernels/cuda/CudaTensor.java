package quamba.kernels.cuda;

import java.util.List;
import quamba.kernels.DType;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/**
 * Elements in device memory, or a view of a part of them. Entries of the outermost dimension lie
 * {@code stride} elements apart, what is within an entry lies dense.
 */
final class CudaTensor implements Tensor {
  /** Neighbours that kernels load at once, as in {@code fours.cuh}. */
  static final int FOUR = 4;

  private final DType dtype;
  private final Shape shape;
  private final CudaAddress address;
  private final int stride;
  private final List<CudaTensor> scales; // one of shape (1) or (columns), or none
  private final List<CudaChanges> changes; // of an uploaded vector of f32, or none

  private CudaTensor(
      DType dtype,
      Shape shape,
      CudaAddress address,
      int stride,
      List<CudaTensor> scales,
      List<CudaChanges> changes) {
    this.dtype = dtype;
    this.shape = shape;
    this.address = address;
    this.stride = stride;
    this.scales = scales;
    this.changes = changes;
  }

  /** A dense tensor at this address. */
  static CudaTensor dense(DType dtype, Shape shape, CudaAddress address) {
    int stride = Math.toIntExact(width(shape));
    return new CudaTensor(dtype, shape, address, stride, List.of(), List.of());
  }

  /** The same vector of f32 with what is known of its elements. */
  CudaTensor with(CudaChanges known) {
    return new CudaTensor(dtype, shape, address, stride, scales, List.of(known));
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

  /** Whether entries follow each other without a gap. */
  boolean isDense() {
    return stride == width(shape) || entries() <= 1;
  }

  /**
   * Whether every entry can be loaded by fours, as {@code in_fours} of {@code fours.cuh} has it.
   */
  boolean isInFours() {
    boolean scaleIs = !isScaledByColumn() || scale().address.value() / Float.BYTES % FOUR == 0;
    return scaleIs && (address.value() / dtype.bytes() | stride) % FOUR == 0;
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
    if (first < 0 || count < 0 || shape.rank() == 0 || count > shape.dim(0) - first) {
      throw new IndexOutOfBoundsException(
          "rows %d to %d of %s".formatted(first, (long) first + count, shape));
    }
    int[] dims = new int[shape.rank()];
    for (int axis = 1; axis < dims.length; axis++) {
      dims[axis] = shape.dim(axis);
    }
    dims[0] = count;
    List<CudaChanges> own = changes.stream().map(all -> all.part(first, count)).toList();
    return new CudaTensor(dtype, Shape.of(dims), entry(first), stride, scales, own);
  }

  @Override
  public CudaTensor columns(int first, int count) {
    if (shape.rank() != 2 || first < 0 || count < 0 || count > shape.dim(1) - first) {
      throw new IndexOutOfBoundsException(
          "columns %d to %d of %s".formatted(first, (long) first + count, shape));
    }
    CudaAddress column = address.plus((long) first * dtype.bytes());
    List<CudaTensor> own = isScaledByColumn() ? List.of(scale().rows(first, count)) : scales;
    return new CudaTensor(dtype, Shape.of(shape.dim(0), count), column, stride, own, List.of());
  }

  @Override
  public CudaTensor scaled(Tensor scale) {
    Shape extents = scale.shape();
    boolean matrix = dtype == DType.I8 && shape.rank() == 2;
    boolean vector = scale.dtype() == DType.F32 && extents.rank() == 1;
    if (!matrix || !vector || (extents.dim(0) != 1 && extents.dim(0) != shape.dim(1))) {
      throw new IllegalArgumentException(
          "scaled: expected an I8 matrix and F32 scales, 1 or one a column, found %s %s and %s %s"
              .formatted(dtype, shape, scale.dtype(), extents));
    }
    return new CudaTensor(dtype, shape, address, stride, List.of((CudaTensor) scale), List.of());
  }

  @Override
  public CudaTensor scale() {
    if (scales.isEmpty()) {
      throw new IllegalStateException("the tensor has no scale");
    }
    return scales.get(0);
  }

  /** Where neighbours of a vector may differ. */
  CudaChanges changes() {
    return changes.isEmpty() ? CudaChanges.everywhere(shape.dim(0)) : changes.get(0);
  }

  /** Whether each column has a scale of its own, rather than one for all. */
  boolean isScaledByColumn() {
    return !scales.isEmpty() && scale().shape().dim(0) != 1;
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
