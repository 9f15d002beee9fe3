package quamba.kernels;

/**
 * A tensor in a backend's memory, or a view of a part of one. Only the backend that made it can
 * read its elements.
 */
public interface Tensor {
  /** Element type. */
  DType dtype();

  /** Extents of this view. */
  Shape shape();

  /** The {@code count} outermost entries from {@code first} on: a view, nothing is copied. */
  Tensor rows(int first, int count);

  /**
   * The {@code count} columns from {@code first} on of a tensor of rank 2: a view whose rows lie
   * further apart than they are wide.
   */
  Tensor columns(int first, int count);

  /**
   * A view of an I8 tensor as codes of {@code value = code · scale}; nothing is copied. Views of
   * the result have their part of the scales.
   *
   * @param scale f32, of shape (1) for all columns or (columns) for each; over 0, and never written
   *     again
   * @throws IllegalArgumentException if this is no I8 matrix or the scale is not such
   */
  Tensor scaled(Tensor scale);

  /**
   * The scales of this view's codes: (1) or (columns).
   *
   * @throws IllegalStateException if it has none
   */
  Tensor scale();
}
