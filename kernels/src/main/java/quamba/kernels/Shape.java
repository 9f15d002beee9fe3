package quamba.kernels;

import java.util.Arrays;

/** Extents of a tensor, outermost first; rank 0 is a scalar. Immutable. */
public final class Shape {
  private final int[] dims;

  private Shape(int[] dims) {
    this.dims = dims;
  }

  /**
   * A shape of these extents.
   *
   * @throws IllegalArgumentException if an extent is negative
   */
  public static Shape of(int... dims) {
    for (int dim : dims) {
      if (dim < 0) {
        throw new IllegalArgumentException("negative extent in shape " + Arrays.toString(dims));
      }
    }
    return new Shape(dims.clone());
  }

  /** Number of dimensions. */
  public int rank() {
    return dims.length;
  }

  /** Extent of dimension {@code axis}. */
  public int dim(int axis) {
    return dims[axis];
  }

  /**
   * Product of the extents.
   *
   * @throws ArithmeticException if it overflows a long
   */
  public long elements() {
    long product = 1;
    for (int dim : dims) {
      product = Math.multiplyExact(product, dim);
    }
    return product;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Shape that && Arrays.equals(dims, that.dims);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(dims);
  }

  /** For example {@code (8, 192)}. */
  @Override
  public String toString() {
    String list = Arrays.toString(dims);
    return '(' + list.substring(1, list.length() - 1) + ')';
  }
}
