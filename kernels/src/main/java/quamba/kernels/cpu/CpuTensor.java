package quamba.kernels.cpu;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import quamba.kernels.DType;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/**
 * Elements of one Java array, or a view of a part of them: F32 in a {@code float[]}, I32 in an
 * {@code int[]}, I8 in a {@code byte[]}. Entries of the outermost dimension lie {@code stride}
 * elements apart, what is within an entry lies dense.
 */
final class CpuTensor implements Tensor {
  /** Some virtual machines refuse arrays of the last few lengths. */
  private static final int LONGEST_ARRAY = Integer.MAX_VALUE - 8;

  private final DType dtype;
  private final Shape shape;
  private final Object elements;
  private final int offset;
  private final int stride;
  private final CpuScale scale;

  private CpuTensor(
      DType dtype, Shape shape, Object elements, int offset, int stride, CpuScale scale) {
    this.dtype = dtype;
    this.shape = shape;
    this.elements = elements;
    this.offset = offset;
    this.stride = stride;
    this.scale = scale;
  }

  /** A new zeroed tensor. */
  static CpuTensor allocate(DType dtype, Shape shape) {
    int length = arrayLength(shape.elements(), dtype + " tensor " + shape);
    Object elements =
        switch (dtype) {
          case F32 -> new float[length];
          case I32 -> new int[length];
          case I8 -> new byte[length];
          case F64, F16, BF16, I64, I16, U8, BOOL ->
              throw new IllegalArgumentException(
                  "the cpu backend holds F32, I32 and I8, found " + dtype);
        };
    int stride = shape.rank() == 0 || shape.dim(0) == 0 ? 1 : length / shape.dim(0);
    return new CpuTensor(dtype, shape, elements, 0, stride, CpuScale.NONE);
  }

  /** The F32 vector or matrix of the elements from {@code offset} on. */
  static CpuTensor over(float[] elements, int offset, Shape shape) {
    int stride = shape.rank() == 1 ? 1 : shape.dim(1);
    return new CpuTensor(DType.F32, shape, elements, offset, stride, CpuScale.NONE);
  }

  /**
   * {@code length} as an array length.
   *
   * @throws IllegalArgumentException naming {@code what} if one array cannot hold it
   */
  static int arrayLength(long length, String what) {
    if (length > LONGEST_ARRAY) {
      throw new IllegalArgumentException(
          "%s: %d elements, the cpu backend holds at most %d in one tensor"
              .formatted(what, length, LONGEST_ARRAY));
    }
    return (int) length;
  }

  @Override
  public DType dtype() {
    return dtype;
  }

  @Override
  public Shape shape() {
    return shape;
  }

  /** The array of an F32 tensor. */
  float[] floats() {
    return (float[]) elements;
  }

  /** The array of an I32 tensor. */
  int[] ints() {
    return (int[]) elements;
  }

  /** The array of an I8 tensor. */
  byte[] bytes() {
    return (byte[]) elements;
  }

  /** Index of the first element. */
  int offset() {
    return offset;
  }

  /** Index of the first element of row {@code row}. */
  int at(int row) {
    return offset + row * stride;
  }

  /** Elements from one outermost entry to the next. */
  int stride() {
    return stride;
  }

  @Override
  public CpuTensor rows(int first, int count) {
    if (first < 0 || count < 0 || shape.rank() == 0 || count > shape.dim(0) - first) {
      throw new IndexOutOfBoundsException(
          "rows %d to %d of %s".formatted(first, (long) first + count, shape));
    }
    int[] dims = new int[shape.rank()];
    for (int axis = 1; axis < dims.length; axis++) {
      dims[axis] = shape.dim(axis);
    }
    dims[0] = count;
    return new CpuTensor(dtype, Shape.of(dims), elements, at(first), stride, scale);
  }

  @Override
  public CpuTensor columns(int first, int count) {
    if (shape.rank() != 2 || first < 0 || count < 0 || count > shape.dim(1) - first) {
      throw new IndexOutOfBoundsException(
          "columns %d to %d of %s".formatted(first, (long) first + count, shape));
    }
    return new CpuTensor(
        dtype,
        Shape.of(shape.dim(0), count),
        elements,
        offset + first,
        stride,
        scale.columns(first, count));
  }

  @Override
  public CpuTensor scaled(Tensor scale) {
    Shape scales = scale.shape();
    boolean matrix = dtype == DType.I8 && shape.rank() == 2;
    boolean vector = scale.dtype() == DType.F32 && scales.rank() == 1;
    if (!matrix || !vector || (scales.dim(0) != 1 && scales.dim(0) != shape.dim(1))) {
      throw new IllegalArgumentException(
          "scaled: expected an I8 matrix and F32 scales, 1 or one a column, found %s %s and %s %s"
              .formatted(dtype, shape, scale.dtype(), scales));
    }
    return new CpuTensor(dtype, shape, elements, offset, stride, CpuScale.of((CpuTensor) scale));
  }

  @Override
  public CpuTensor scale() {
    return scale.tensor();
  }

  /** The scales of an I8 tensor's codes. */
  CpuScale scales() {
    return scale;
  }

  /** Fills this tensor with the little-endian elements of {@code source}. */
  void write(ByteBuffer source) {
    ByteBuffer from = source.slice().order(ByteOrder.LITTLE_ENDIAN);
    int entries = entries();
    int width = width();
    switch (dtype) {
      case F32 -> {
        FloatBuffer floats = from.asFloatBuffer();
        for (int i = 0; i < entries; i++) {
          floats.get(floats(), at(i), width);
        }
      }
      case I32 -> {
        for (int i = 0; i < entries; i++) {
          from.asIntBuffer().position(i * width).get(ints(), at(i), width);
        }
      }
      default -> {
        for (int i = 0; i < entries; i++) {
          from.get(bytes(), at(i), width);
        }
      }
    }
  }

  /** Copies this tensor's elements, little-endian, into {@code target}. */
  void read(ByteBuffer target) {
    ByteBuffer to = target.slice().order(ByteOrder.LITTLE_ENDIAN);
    int entries = entries();
    int width = width();
    switch (dtype) {
      case F32 -> {
        FloatBuffer floats = to.asFloatBuffer();
        for (int i = 0; i < entries; i++) {
          floats.put(floats(), at(i), width);
        }
      }
      case I32 -> {
        for (int i = 0; i < entries; i++) {
          to.asIntBuffer().position(i * width).put(ints(), at(i), width);
        }
      }
      default -> {
        for (int i = 0; i < entries; i++) {
          to.put(bytes(), at(i), width);
        }
      }
    }
  }

  private int entries() {
    return shape.rank() == 0 ? 1 : shape.dim(0);
  }

  /** Elements of one outermost entry. */
  private int width() {
    int width = 1;
    for (int axis = 1; axis < shape.rank(); axis++) {
      width *= shape.dim(axis);
    }
    return width;
  }
}
