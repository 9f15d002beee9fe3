package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

class ExpansionTest {
  @Test
  void codesAreTheRowsDequantizedWeightsRoundedOnce() {
    Random random = new Random(3);
    int out = 40;
    int in = 384;
    byte[] codes = new byte[out * in];
    float[] scales = new float[out * 3];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) (random.nextInt(16) - 8);
    }
    for (int i = 0; i < scales.length; i++) {
      scales[i] = (float) Naive.half(Math.scalb(random.nextGaussian(), -random.nextInt(8)));
    }
    Expansion found =
        Expansion.of(QuantizedTensor.of(WeightFormat.INT4_AS_INT8, out, in, codes, scales));

    int largest = 0;
    for (int row = 0; row < out; row++) {
      double most = 0;
      for (int i = 0; i < in; i++) {
        most = Math.max(most, Math.abs(codes[row * in + i] * (double) scales[row * 3 + i / 128]));
      }
      assertEquals(most / 127, found.channelScales()[row], most * 1e-8);
      for (int i = 0; i < in; i++) {
        float ratio = scales[row * 3 + i / 128] / found.channelScales()[row];
        double expected = Math.rint(codes[row * in + i] * Naive.half(ratio));
        assertEquals(expected, found.codes()[row * in + i], 0);
        largest = Math.max(largest, Math.abs(found.codes()[row * in + i]));
      }
    }
    assertEquals(127, largest);
  }

  @Test
  void noCodeLeavesTheRangeWhateverTheScale() {
    for (int code = 1; code <= 8; code++) {
      for (int bits = 1; bits < 0x7c00; bits += 7) {
        float scale = Half.value((short) bits);
        byte[] pair = {(byte) -code, 1};
        QuantizedTensor row =
            QuantizedTensor.of(WeightFormat.INT4_AS_INT8, 1, 2, pair, new float[] {scale});
        assertEquals(-127, Expansion.of(row).codes()[0], "code " + code + " scale " + scale);
      }
    }
  }

  @Test
  void rowsOfZerosStayZero() {
    QuantizedTensor zeros =
        QuantizedTensor.of(WeightFormat.INT4_AS_INT8, 1, 2, new byte[2], new float[] {3});
    Expansion found = Expansion.of(zeros);
    assertEquals(0, found.channelScales()[0]);
    assertTrue(found.codes()[0] == 0 && found.codes()[1] == 0);
  }
}
