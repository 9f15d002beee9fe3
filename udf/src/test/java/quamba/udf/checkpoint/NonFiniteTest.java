package quamba.udf.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;

class NonFiniteTest {
  @Test
  void everyPatternOfSixteenBitsIsJudgedByItsExponent() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      expect(DType.F16, Short.BYTES, bits, (bits & 0x7C00) == 0x7C00);
      expect(DType.BF16, Short.BYTES, bits, !Float.isFinite(Float.intBitsToFloat(bits << 16)));
    }
  }

  @Test
  void wideNumbersAreJudgedAsJavaDoes() {
    for (float value :
        new float[] {
          0,
          -0f,
          1,
          Float.MAX_VALUE,
          -Float.MAX_VALUE,
          Float.MIN_VALUE,
          Float.NaN,
          Float.POSITIVE_INFINITY,
          Float.NEGATIVE_INFINITY
        }) {
      long bits = Float.floatToRawIntBits(value);
      expect(DType.F32, Float.BYTES, bits, !Float.isFinite(value));
    }
    for (double value :
        new double[] {
          0,
          -0d,
          1,
          Double.MAX_VALUE,
          -Double.MAX_VALUE,
          Double.MIN_VALUE,
          Double.NaN,
          Double.POSITIVE_INFINITY,
          Double.NEGATIVE_INFINITY
        }) {
      expect(DType.F64, Double.BYTES, Double.doubleToRawLongBits(value), !Double.isFinite(value));
    }
  }

  @Test
  void integersAreNeverRefused() {
    for (DType dtype : DType.values()) {
      if (!dtype.isFloat()) {
        expect(dtype, dtype.bytes(), -1, false);
      }
    }
  }

  @Test
  void firstOfSeveralIsFoundWhereverItLies() {
    for (int elements = 1; elements < 20; elements++) {
      for (int at = 0; at < elements; at++) {
        ByteBuffer data = ByteBuffer.allocate(elements * 2).order(ByteOrder.LITTLE_ENDIAN);
        data.putShort(at * 2, (short) 0xFC00);
        data.putShort((elements - 1) * 2, (short) 0x7E01);
        HostTensor tensor = new HostTensor(DType.F16, Shape.of(elements), data);
        assertEquals(OptionalLong.of(at), NonFinite.first(tensor));
      }
    }
  }

  /** Checks element 2 of 5, all others of which are zero. */
  private static void expect(DType dtype, int bytes, long bits, boolean refused) {
    ByteBuffer data = ByteBuffer.allocate(5 * bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (int at = 0; at < bytes; at++) {
      data.put(2 * bytes + at, (byte) (bits >>> (at * Byte.SIZE)));
    }
    assertEquals(
        refused ? OptionalLong.of(2) : OptionalLong.empty(),
        NonFinite.first(new HostTensor(dtype, Shape.of(5), data)),
        () -> dtype + " " + Long.toHexString(bits));
  }
}
