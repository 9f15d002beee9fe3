package quamba.udf.checkpoint;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.util.OptionalLong;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;

/**
 * Search for NaN and Infinity: numbers whose exponent bits are all ones. Eight bytes are looked at
 * together: of each number only the exponent is kept, and one unit of it added; exactly where all
 * its bits were set, the carry reaches the sign bit.
 */
final class NonFinite {
  private NonFinite() {}

  /** Index of the first element that is NaN or infinite; empty for integers. */
  static OptionalLong first(HostTensor tensor) {
    return switch (tensor.dtype()) {
      case F16 -> first(tensor, 0x7C00_7C00_7C00_7C00L, 0x0400_0400_0400_0400L);
      case BF16 -> first(tensor, 0x7F80_7F80_7F80_7F80L, 0x0080_0080_0080_0080L);
      case F32 -> first(tensor, 0x7F80_0000_7F80_0000L, 0x0080_0000_0080_0000L);
      case F64 -> first(tensor, 0x7FF0_0000_0000_0000L, 0x0010_0000_0000_0000L);
      case I64, I32, I16, I8, U8, BOOL -> OptionalLong.empty();
    };
  }

  private static OptionalLong first(HostTensor tensor, long exponents, long units) {
    long signs = exponents + units;
    ByteBuffer data = tensor.data().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    LongBuffer words = data.asLongBuffer();
    for (int word = 0; word < words.limit(); word++) {
      long carries = ((words.get(word) & exponents) + units) & signs;
      if (carries != 0) {
        return index(tensor.dtype(), (long) word * Long.BYTES, carries);
      }
    }
    long rest = 0;
    int restBegin = words.limit() * Long.BYTES;
    for (int at = restBegin; at < data.limit(); at++) {
      rest |= (data.get(at) & 0xFFL) << ((at - restBegin) * Byte.SIZE);
    }
    long carries = ((rest & exponents) + units) & signs;
    return carries == 0 ? OptionalLong.empty() : index(tensor.dtype(), restBegin, carries);
  }

  private static OptionalLong index(DType dtype, long wordBegin, long carries) {
    int bytesBefore = Long.numberOfTrailingZeros(carries) / Byte.SIZE;
    return OptionalLong.of((wordBegin + bytesBefore) / dtype.bytes());
  }
}
