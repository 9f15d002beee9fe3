package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

class HalfTest {
  @Test
  void everyFiniteValueIsItsBits() {
    for (int bits = 0; bits < 0x7c00; bits++) {
      int exponent = bits >> 10;
      int fraction = bits & 0x3ff;
      double expected =
          exponent == 0
              ? Math.scalb((double) fraction, -24)
              : Math.scalb(1 + fraction / 1024.0, exponent - 15);
      assertEquals(expected, Half.value((short) bits));
      assertEquals(-expected, Half.value((short) (bits | 0x8000)));
      assertEquals(bits, Half.bits((float) expected));
      assertEquals((short) (bits | 0x8000), Half.bits((float) -expected));
    }
  }

  @Test
  void roundsToNearestWithTiesToEven() {
    Random random = new Random(1);
    for (int i = 0; i < 200_000; i++) {
      float value = (float) Math.scalb(random.nextGaussian(), random.nextInt(44) - 28);
      if (Math.abs(value) < 65504) {
        assertEquals(Naive.half(value), Half.round(value), () -> "of " + value);
      }
    }
    for (int bits = 0; bits < 0x7bff; bits++) {
      double middle = (Half.value((short) bits) + (double) Half.value((short) (bits + 1))) / 2;
      int even = bits % 2 == 0 ? bits : bits + 1;
      assertEquals(even, Half.bits((float) middle));
    }
  }

  @Test
  void whatDoesNotFitIsInfiniteOrNoNumber() {
    assertEquals(65504, Half.round(65519.99f));
    assertEquals(Float.POSITIVE_INFINITY, Half.round(65520));
    assertEquals(Float.NEGATIVE_INFINITY, Half.round(-1e30f));
    assertEquals(Float.POSITIVE_INFINITY, Half.round(Float.POSITIVE_INFINITY));
    assertTrue(Float.isNaN(Half.round(Float.NaN)));
  }
}
