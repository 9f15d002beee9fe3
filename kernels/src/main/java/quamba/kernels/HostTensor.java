package quamba.kernels;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A tensor in host memory, logical and row-major, as a checkpoint holds it.
 *
 * @param dtype element type
 * @param shape extents
 * @param data little-endian elements from position 0 to the limit; may be a read-only file mapping
 */
public record HostTensor(DType dtype, Shape shape, ByteBuffer data) {
  /**
   * Takes a view of {@code data} in little-endian order.
   *
   * @throws IllegalArgumentException if the buffer's size is not that of dtype and shape
   */
  public HostTensor {
    long expected = Math.multiplyExact(shape.elements(), (long) dtype.bytes());
    if (data.remaining() != expected) {
      throw new IllegalArgumentException(
          "%s %s needs %d bytes, found %d".formatted(dtype, shape, expected, data.remaining()));
    }
    data = data.slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** A new F32 tensor of {@code values}, for tables that are computed when a model is opened. */
  public static HostTensor of(Shape shape, float... values) {
    ByteBuffer data =
        ByteBuffer.allocateDirect(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    data.asFloatBuffer().put(values);
    return new HostTensor(DType.F32, shape, data);
  }
}
