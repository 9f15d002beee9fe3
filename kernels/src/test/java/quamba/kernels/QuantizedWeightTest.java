package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

/** Codes, their values and their 8-bit form; half precision. */
final class QuantizedWeightTest {
  private static HostTensor tensor(DType dtype, Shape shape, int... bytes) {
    ByteBuffer data = ByteBuffer.allocate(bytes.length);
    for (int value : bytes) {
      data.put((byte) value);
    }
    return new HostTensor(dtype, shape, data.flip());
  }

  private static float[] row(QuantizedWeight weight, int row) {
    float[] values = new float[weight.in()];
    weight.read(row, values, 0);
    return values;
  }

  @Test
  void nibblesAreSignedTheEvenColumnLow() {
    QuantizedWeight weight =
        QuantizedWeight.of(
            tensor(DType.U8, Shape.of(2, 2), 0x87, 0xf1, 0x22, 0x1f),
            HostTensor.of(Shape.of(2, 1), 0.5f, -2));
    assertArrayEquals(new float[] {3.5f, -4, 0.5f, -0.5f}, row(weight, 0));
    assertArrayEquals(new float[] {-4, -4, 2, -2}, row(weight, 1));
  }

  /** Row: 7 · 1 is the largest, so the scale is 7/127, the ratio 18.140625 of 127/7 in 11 bits. */
  @Test
  void fourBitsBecomeEightWithOneScale() {
    QuantizedWeight weight =
        QuantizedWeight.of(
            tensor(DType.U8, Shape.of(2, 2), 0x17, 0x3a, 0x00, 0x00),
            HostTensor.of(Shape.of(2, 1), 1, 1));
    QuantizedWeight.Int8 wide = weight.asInt8();
    float[] codes = new float[4];
    wide.readCodes(0, codes, 0);
    assertArrayEquals(new float[] {127, 18, -109, 54}, codes);
    assertEquals(7f / 127, wide.scale(0));
    assertEquals(0, wide.scale(1));
    assertArrayEquals(new float[4], row(wide, 1));
  }

  @Test
  void scalesMayBeHalves() {
    QuantizedWeight weight =
        QuantizedWeight.of(
            tensor(DType.I8, Shape.of(1, 2), -128, 3),
            tensor(DType.F16, Shape.of(1), 0x00, 0x38)); // 0.5
    assertArrayEquals(new float[] {-64, 1.5f}, row(weight, 0));
  }

  @Test
  void whatDoesNotFitIsRefused() {
    HostTensor bytes = tensor(DType.I8, Shape.of(2, 1), 1, 2);
    HostTensor pairs = tensor(DType.U8, Shape.of(2, 1), 1, 2);
    HostTensor one = HostTensor.of(Shape.of(1), 1);
    assertEquals(
        "scales: expected F16 or F32 (2), found F32 (1)",
        assertThrows(IllegalArgumentException.class, () -> QuantizedWeight.of(bytes, one))
            .getMessage());
    assertEquals(
        "scales: expected F16 or F32 (2, 1), found I8 (2, 1)",
        assertThrows(IllegalArgumentException.class, () -> QuantizedWeight.of(pairs, bytes))
            .getMessage());
    assertEquals(
        "codes: expected U8 (out, in / 2), found F32 (1)",
        assertThrows(IllegalArgumentException.class, () -> QuantizedWeight.of(one, one))
            .getMessage());
  }

  /** Every finite number of binary16 comes back, and so does what lies next to it. */
  @Test
  void halvesRoundToNearestEven() {
    for (int bits = 0; bits < 0x7c00; bits++) {
      float value = Half.value((short) bits);
      assertEquals(Oracle.half(bits), value);
      assertEquals(bits, Half.bits(value));
      assertEquals(bits, Half.bits(Math.nextUp(value)));
      assertEquals((short) (bits | 0x8000), Half.bits(-value));
      float next = bits == 0x7bff ? 65536 : Half.value((short) (bits + 1));
      float middle = (value + next) / 2;
      assertEquals(bits + (bits & 1), Half.bits(middle));
      assertEquals(bits, Half.bits(Math.nextDown(middle)));
      assertEquals(bits + 1, Half.bits(Math.nextUp(middle)));
    }
    assertEquals(Float.POSITIVE_INFINITY, Half.round(1e6f));
    assertEquals(Float.NaN, Half.round(Float.NaN));
  }
}
