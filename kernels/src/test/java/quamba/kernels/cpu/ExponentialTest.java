package quamba.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.function.DoubleUnaryOperator;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;
import quamba.kernels.Oracle;

final class ExponentialTest {
  @Test
  void expIsWithinTwoUnits() {
    for (float x = -87.3f; x < 88; x += 0.0137f) {
      assertWithin(2, Math::exp, x, Exponential.exp(x));
    }
    assertEquals(1, Exponential.exp(0));
    assertEquals(1, Exponential.exp(-0f));
  }

  @Test
  void expOfLargeArgumentsIsHeldToNormalNumbers() {
    for (float x : new float[] {-87.4f, -1e10f, -Float.MAX_VALUE, Float.NEGATIVE_INFINITY}) {
      assertEquals(Float.MIN_NORMAL, Exponential.exp(x), Float.MIN_NORMAL * 1e-5f);
    }
    for (float x : new float[] {88.1f, 1e10f, Float.MAX_VALUE, Float.POSITIVE_INFINITY}) {
      assertEquals(0x1p127f, Exponential.exp(x), 0x1p127f * 1e-5f);
    }
  }

  @Test
  void siluIsWithinFourUnits() {
    for (float x = -80; x < 80; x += 0.0137f) {
      assertWithin(4, Oracle::silu, x, Exponential.silu(x));
    }
    assertTrue(Float.isNaN(Exponential.silu(Float.NaN)));
  }

  @Test
  void softplusIsWithinFourUnits() {
    for (float x = -80; x < 80; x += 0.0137f) {
      assertWithin(4, Oracle::softplus, x, Exponential.softplus(x));
    }
    assertTrue(Float.isNaN(Exponential.softplus(Float.NaN)));
  }

  @Test
  void oneNumberGetsTheBitsThatItGetsInAVector() {
    float[] x = new float[FloatVector.SPECIES_PREFERRED.length()];
    for (int i = 0; i < x.length; i++) {
      x[i] = i * 0.37f - 3;
    }
    float[] y =
        Exponential.silu(FloatVector.fromArray(FloatVector.SPECIES_PREFERRED, x, 0)).toArray();
    for (int i = 0; i < x.length; i++) {
      assertEquals(y[i], Exponential.silu(x[i]));
    }
  }

  private static void assertWithin(int units, DoubleUnaryOperator exact, float x, float actual) {
    double expected = exact.applyAsDouble(x);
    assertEquals(expected, actual, units * (double) Math.ulp((float) expected), "at " + x);
  }
}
