package quamba.udf.model;

import java.nio.ByteBuffer;
import java.util.List;
import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.udf.checkpoint.InvalidCheckpointException;

/**
 * A matrix as a checkpoint holds it.
 *
 * @param name of its tensor
 * @param weight floats, or codes as {@link QuantizedWeight} has them
 * @param scales of codes, one tensor; none of floats
 */
record StoredMatrix(String name, HostTensor weight, List<HostTensor> scales) {
  /** Whether a tensor of this dtype holds codes. */
  static boolean isCodes(DType dtype) {
    return dtype == DType.I8 || dtype == DType.U8;
  }

  /** The {@code count} rows from {@code first} on. */
  StoredMatrix rows(int first, int count) {
    return new StoredMatrix(
        name,
        rows(weight, first, count),
        scales.stream().map(scale -> rows(scale, first, count)).toList());
  }

  private static HostTensor rows(HostTensor tensor, int first, int count) {
    Shape shape = tensor.shape();
    Shape part = shape.rank() == 1 ? Shape.of(count) : Shape.of(count, shape.dim(1));
    ByteBuffer data = tensor.data();
    int rowBytes = data.remaining() / Math.max(1, shape.dim(0));
    return new HostTensor(tensor.dtype(), part, data.slice(first * rowBytes, count * rowBytes));
  }

  /** Brings it to a backend, for inputs of this dtype. */
  Tensor pack(Backend backend, DType input) {
    if (!scales.isEmpty()) {
      return backend.pack(QuantizedWeight.of(weight, scales.get(0)), input);
    }
    checkInput(input);
    return backend.pack(weight);
  }

  /** Refuses floats that are to meet codes. */
  void checkInput(DType input) {
    if (scales.isEmpty() && input == DType.I8) {
      throw new InvalidCheckpointException(
          "tensor %s: dtype must be I8 or U8, as its input is of codes, found %s"
              .formatted(name, weight.dtype()));
    }
  }
}
