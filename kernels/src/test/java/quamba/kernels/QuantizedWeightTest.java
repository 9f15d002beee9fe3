package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
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

  private static HostTensor pairs(int out, int in, int... codes) {
    int[] pairs = new int[codes.length / 2];
    Arrays.setAll(pairs, i -> (codes[2 * i] & 15) | codes[2 * i + 1] << 4);
    return tensor(DType.U8, Shape.of(out, in / 2), pairs);
  }

  @Test
  void eightBitCodesAreTheRowsValuesRoundedOnce() {
    Random random = new Random(3);
    int out = 40;
    int in = 300;
    int[] codes = random.ints((long) out * in, -8, 8).toArray();
    float[] scales = new float[out * 3];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = Half.round((float) Math.scalb(random.nextGaussian(), -random.nextInt(8)));
    }
    QuantizedWeight weight =
        QuantizedWeight.of(pairs(out, in, codes), HostTensor.of(Shape.of(out, 3), scales));
    QuantizedWeight.Int8 wide = weight.asInt8();

    double largest = 0;
    for (int row = 0; row < out; row++) {
      float[] values = row(weight, row);
      double most = 0;
      for (int i = 0; i < in; i++) {
        float scale = scales[row * 3 + i / 128];
        assertEquals(codes[row * in + i] * scale, values[i]);
        most = Math.max(most, Math.abs(codes[row * in + i] * (double) scale));
      }
      assertEquals(most / 127, wide.scale(row), most * 1e-8);
      float[] found = new float[in];
      wide.readCodes(row, found, 0);
      for (int i = 0; i < in; i++) {
        double ratio = Half.round(scales[row * 3 + i / 128] / wide.scale(row));
        assertEquals(Math.rint(codes[row * in + i] * ratio), found[i], 0);
        largest = Math.max(largest, Math.abs(found[i]));
      }
    }
    assertEquals(127, largest);
  }

  @Test
  void noHalfAsScaleLeadsOutOfTheRangeOfEightBits() {
    for (int code = 1; code <= 8; code++) {
      HostTensor codes = pairs(1, 2, -code, 1);
      for (int bits = 1; bits < 0x7c00; bits += 7) {
        HostTensor scale = tensor(DType.F16, Shape.of(1, 1), bits & 255, bits >> 8);
        float[] found = new float[2];
        QuantizedWeight.of(codes, scale).asInt8().readCodes(0, found, 0);
        assertEquals(-127, found[0], "code " + code + " scale " + Half.value((short) bits));
      }
    }
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
      assertEquals(-value, Half.value((short) (bits | 0x8000)));
      assertEquals(bits, Half.bits(value));
      assertEquals(bits, Half.bits(Math.nextUp(value)));
      assertEquals((short) (bits | 0x8000), Half.bits(-value));
      float next = bits == 0x7bff ? 65536 : Half.value((short) (bits + 1));
      float middle = (value + next) / 2;
      assertEquals(bits + (bits & 1), Half.bits(middle));
      assertEquals(bits, Half.bits((value + middle) / 2));
      assertEquals(bits, Half.bits(Math.nextDown(middle)));
      assertEquals(bits + 1, Half.bits((middle + next) / 2));
      assertEquals(bits + 1, Half.bits(Math.nextUp(middle)));
    }
    assertEquals(Float.POSITIVE_INFINITY, Half.round(1e6f));
    assertEquals(Float.NEGATIVE_INFINITY, Half.round(-1e30f));
    assertEquals(Float.POSITIVE_INFINITY, Half.round(Float.POSITIVE_INFINITY));
    assertEquals(Float.NaN, Half.round(Float.NaN));
  }
}
