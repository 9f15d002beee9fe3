package quamba.kernels;

import java.nio.ByteBuffer;

/** Reads a host tensor's floating-point elements as single precision. */
public final class HostFloats {
  private HostFloats() {}

  /**
   * Reads {@code count} elements from element {@code from} on into {@code target[at …]}.
   *
   * @throws IllegalArgumentException if the elements are not floating-point
   */
  public static void read(HostTensor source, int from, int count, float[] target, int at) {
    ByteBuffer data = source.data();
    DType dtype = source.dtype();
    switch (dtype) {
      case F32 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] = data.getFloat((from + i) * Float.BYTES);
        }
      }
      case F64 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] = (float) data.getDouble((from + i) * Double.BYTES);
        }
      }
      case F16 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] = Half.value(data.getShort((from + i) * Short.BYTES));
        }
      }
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          target[at + i] = Float.intBitsToFloat(data.getShort((from + i) * Short.BYTES) << 16);
        }
      }
      case I64, I32, I16, I8, U8, BOOL ->
          throw new IllegalArgumentException("expected floating-point elements, found " + dtype);
    }
  }
}
