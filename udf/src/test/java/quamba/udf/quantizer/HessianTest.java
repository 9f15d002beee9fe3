package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HessianTest {
  private static float[] inputs(int rows, int in) {
    Random random = new Random(9);
    float[] x = new float[rows * in];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian() + (i % in) * 0.1f;
    }
    return x;
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "7, 3", "200, 37", "129, 64"})
  void sumsAreThoseOfAllInputs(int rows, int in) {
    float[] x = inputs(rows, in);
    Hessian whole = new Hessian(in);
    whole.add(x, rows, 2);
    double[] found = whole.matrix();
    for (int i = 0; i < in; i++) {
      for (int j = 0; j < in; j++) {
        double sum = 0;
        double size = 0;
        for (int row = 0; row < rows; row++) {
          double product = (double) x[row * in + i] * x[row * in + j];
          sum += 2 * product / rows;
          size += 2 * Math.abs(product) / rows;
        }
        // Each product and each of up to 64 sums in single precision rounds by half an ulp.
        assertEquals(sum, found[i * in + j], 65 * 0x1p-24 * size);
      }
    }
  }

  @Test
  void partsAddUpWhateverTheThreads() {
    int in = 50;
    float[] x = inputs(192, in);
    Hessian whole = new Hessian(in);
    whole.add(x, 192, 1);
    Hessian first = new Hessian(in);
    first.add(x, 64, 2);
    Hessian second = new Hessian(in);
    second.add(Arrays.copyOfRange(x, 64 * in, 192 * in), 128, 3);
    first.merge(second);
    assertEquals(192, first.count());
    assertArrayEquals(whole.matrix(), first.matrix(), 1e-12 * whole.matrix()[in * in - 1]);
  }

  @Test
  void nothingSeenIsZeroAndOtherWidthsAreRefused() {
    assertArrayEquals(new double[4], new Hessian(2).matrix());
    Hessian two = new Hessian(2);
    assertThrows(IllegalArgumentException.class, () -> two.merge(new Hessian(3)));
    assertThrows(IllegalArgumentException.class, () -> two.add(new float[3], 2, 1));
  }
}
