package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;
import quamba.kernels.DType;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;

class CodeRowsTest {
  /** Of codes (out, in) and scales (out, groups), at most as many rows as a tile has. */
  private static QuantizedWeight packed(
      WeightFormat format, int out, int in, byte[] codes, float... scales) {
    CodeRows rows = new CodeRows(format, new Matrix(out, in, new float[out * in]));
    int groups = format.groups(in);
    float[] lanes = new float[groups * RowTile.LANES];
    for (int i = 0; i < scales.length; i++) {
      lanes[i % groups * RowTile.LANES + i / groups] = scales[i];
    }
    rows.putScales(0, out, lanes);
    for (int column = 0; column < in; column++) {
      float[] lane = new float[RowTile.LANES];
      for (int row = 0; row < out; row++) {
        lane[row] = codes[row * in + column];
      }
      rows.putCodes(0, out, column, lane, 0);
    }
    return rows.packed();
  }

  @Test
  void fourBitCodesLieInPairsTheEvenColumnLow() {
    byte[] codes = {-8, 7, -1, 0, 3, -4};
    QuantizedWeight weight = packed(WeightFormat.INT4, 1, 6, codes, 0.25f);

    assertEquals(DType.U8, weight.codes().dtype());
    assertEquals(Shape.of(1, 3), weight.codes().shape());
    assertEquals((byte) 0x78, weight.codes().data().get(0));
    assertEquals((byte) 0x0f, weight.codes().data().get(1));
    assertEquals((byte) 0xc3, weight.codes().data().get(2));
    assertEquals(DType.F16, weight.scales().dtype());
    assertEquals(Shape.of(1, 1), weight.scales().shape());
    assertEquals((short) 0x3400, weight.scales().data().getShort(0));
    assertArrayEquals(
        new float[] {-2, 1.75f, -0.25f, 0, 0.75f, -1}, Stored.matrix(weight).values());
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
    QuantizedWeight weight = packed(WeightFormat.INT4, out, in, codes, scales);

    assertEquals(in, weight.in());
    assertEquals(Shape.of(3, 3), weight.scales().shape());
    float[] values = Stored.matrix(weight).values();
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
    QuantizedWeight weight = packed(WeightFormat.INT8, 2, 3, codes, 2, 0.5f);

    assertEquals(DType.I8, weight.codes().dtype());
    assertEquals(Shape.of(2, 3), weight.codes().shape());
    assertEquals(DType.F16, weight.scales().dtype());
    assertEquals(Shape.of(2), weight.scales().shape());
    assertArrayEquals(new float[] {-254, 254, 2, 0, 2.5f, -3}, Stored.matrix(weight).values());
  }

  @Test
  void oddWidthsHaveNoFourBits() {
    Matrix odd = new Matrix(1, 3, new float[] {1, 2, 3});
    WeightRounding rounding = new WeightRounding(WeightFormat.INT4, ScaleChoice.SEARCH, 1);
    String message =
        assertThrows(IllegalArgumentException.class, () -> rounding.round(odd)).getMessage();
    assertTrue(message.contains("found 3") && message.contains("8 bits"), message);
  }
}
