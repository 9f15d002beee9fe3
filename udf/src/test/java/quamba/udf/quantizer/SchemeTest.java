package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class SchemeTest {
  @Test
  void flagsNameSchemes() {
    assertEquals(Scheme.W4A8, Scheme.parse("w4a8"));
    assertEquals(Scheme.W4AX, Scheme.parse("W4AX"));
    for (Scheme scheme : Scheme.values()) {
      assertEquals(scheme, Scheme.parse(scheme.flag()));
    }
  }

  @Test
  void anotherFlagIsRefusedWithThoseThatThereAre() {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Scheme.parse("w8a16")).getMessage();
    assertEquals("scheme must be one of w8a8, w4a8, w4a16, w4ax, found w8a16", message);
  }

  @Test
  void schemesSayWhatBlocksHold() {
    assertEquals(WeightFormat.INT8, Scheme.W8A8.weights());
    assertEquals(WeightFormat.INT4_AS_INT8, Scheme.W4A8.weights());
    assertEquals(WeightFormat.INT4, Scheme.W4A16.weights());
    assertEquals(List.of(Scheme.W8A8), Scheme.W8A8.blockSchemes());
    assertEquals(List.of(Scheme.W4A8, Scheme.W4A16), Scheme.W4AX.blockSchemes());
    assertFalse(Scheme.W4A16.quantizesActivations());
    assertTrue(Scheme.W4AX.quantizesActivations());
  }
}
