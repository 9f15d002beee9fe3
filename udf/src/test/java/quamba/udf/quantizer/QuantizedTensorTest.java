package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Random;
import org.junit.jupiter.api.Test;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;

class QuantizedTensorTest {
  @Test
  void fourBitCodesLieInPairsTheEvenColumnLow() {
    byte[] codes = {-8, 7, -1, 0, 3, -4};
    QuantizedTensor tensor =
        QuantizedTensor.of(WeightFormat.INT4, 1, 6, codes, new float[] {0.25f});

    assertEquals(DType.U8, tensor.codes().dtype());
    assertEquals(Shape.of(1, 3), tensor.codes().shape());
    assertEquals((byte) 0x78, tensor.codes().data().get(0));
    assertEquals((byte) 0x0f, tensor.codes().data().get(1));
    assertEquals((byte) 0xc3, tensor.codes().data().get(2));
    assertEquals(DType.F16, tensor.scales().dtype());
    assertEquals(Shape.of(1, 1), tensor.scales().shape());
    assertEquals((short) 0x3400, tensor.scales().data().getShort(0));
    for (int column = 0; column < 6; column++) {
      assertEquals(codes[column], tensor.code(0, column));
    }
    assertArrayEquals(new float[] {-2, 1.75f, -0.25f, 0, 0.75f, -1}, tensor.dequantized().values());
  }

  @Test
  void groupsOfARowHaveTheirOwnScaleTheLastMaybeShorter() {
    int out = 3;
    int in = 300;
    Random random = new Random(2);
    byte[] codes = new byte[out * in];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) (random.nextInt(16) - 8);
    }
    float[] scales = {1, 2, -4, 8, 16, 32, 0.5f, 0.25f, 0.125f};
    QuantizedTensor tensor = QuantizedTensor.of(WeightFormat.INT4, out, in, codes, scales);

    assertEquals(in, tensor.in());
    assertEquals(3, tensor.groups());
    float[] values = tensor.dequantized().values();
    for (int row = 0; row < out; row++) {
      for (int column = 0; column < in; column++) {
        float expected = codes[row * in + column] * scales[row * 3 + column / 128];
        assertEquals(expected, values[row * in + column]);
      }
    }
  }

  @Test
  void eightBitCodesHaveAScaleARow() {
    byte[] codes = {-127, 127, 1, 0, 5, -6};
    QuantizedTensor tensor =
        QuantizedTensor.of(WeightFormat.INT8, 2, 3, codes, new float[] {2, 0.5f});

    assertEquals(DType.I8, tensor.codes().dtype());
    assertEquals(Shape.of(2, 3), tensor.codes().shape());
    assertEquals(Shape.of(2), tensor.scales().shape());
    assertArrayEquals(new float[] {-254, 254, 2, 0, 2.5f, -3}, tensor.dequantized().values());
  }

  @Test
  void oddWidthsHaveNoFourBits() {
    Matrix odd = new Matrix(1, 3, new float[] {1, 2, 3});
    WeightRounding rounding = new WeightRounding(WeightFormat.INT4, ScaleChoice.SEARCH, 1);
    String message =
        assertThrows(IllegalArgumentException.class, () -> rounding.round(odd)).getMessage();
    assertTrue(message.contains("found 3") && message.contains("8 bits"), message);
  }

  @Test
  void codesAndScalesMustGoTogether() {
    HostTensor codes = new HostTensor(DType.I8, Shape.of(2, 3), ByteBuffer.allocate(6));
    HostTensor scales = new HostTensor(DType.F16, Shape.of(3), ByteBuffer.allocate(6));
    assertThrows(IllegalArgumentException.class, () -> new QuantizedTensor(codes, scales));
    HostTensor wide = HostTensor.of(Shape.of(2), 1, 1);
    assertThrows(IllegalArgumentException.class, () -> new QuantizedTensor(codes, wide));
  }
}
