package quamba.udf.checkpoint;

import java.util.Arrays;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;

/** Element type and extents of a tensor, without its elements. */
public record TensorSpec(DType dtype, Shape shape) {
  /** Most extents of a tensor in a file. */
  static final int RANK_MAX = 16;

  /** Element type and extents of {@code tensor}. */
  public static TensorSpec of(HostTensor tensor) {
    return new TensorSpec(tensor.dtype(), tensor.shape());
  }

  /**
   * A spec from extents that a file claims.
   *
   * @param where file and tensor, the beginning of the message
   * @throws InvalidCheckpointException if an extent is negative or no int, or the tensor would take
   *     2 GiB or more
   */
  static TensorSpec checked(String where, DType dtype, long[] extents) {
    int[] dims = new int[extents.length];
    long bytes = dtype.bytes();
    boolean overflow = false;
    for (int axis = 0; axis < dims.length; axis++) {
      if (extents[axis] < 0 || extents[axis] > Integer.MAX_VALUE) {
        throw new InvalidCheckpointException(
            "%s: shape %s: expected extents from 0 to %d, found %d"
                .formatted(where, Arrays.toString(extents), Integer.MAX_VALUE, extents[axis]));
      }
      dims[axis] = (int) extents[axis];
      overflow |= Math.multiplyHigh(bytes, extents[axis]) != 0 || bytes * extents[axis] < 0;
      bytes *= extents[axis];
    }
    if (overflow || bytes > Integer.MAX_VALUE) {
      throw new InvalidCheckpointException(
          "%s: %s %s: expected less than 2 GiB, found %s"
              .formatted(
                  where,
                  dtype,
                  Arrays.toString(extents),
                  overflow ? "more than a long holds" : bytes + " bytes"));
    }
    return new TensorSpec(dtype, Shape.of(dims));
  }

  /** Bytes of all elements. */
  public long bytes() {
    return Math.multiplyExact(shape.elements(), (long) dtype.bytes());
  }

  /** For example {@code F16 (8, 192)}. */
  @Override
  public String toString() {
    return dtype + " " + shape;
  }
}
