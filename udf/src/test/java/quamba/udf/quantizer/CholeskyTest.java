package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CholeskyTest {
  @ParameterizedTest
  @ValueSource(ints = {1, 5, 64, 65, 200})
  void upperTriangleTimesItsTransposeIsTheMatrix(int size) {
    double[] matrix = Naive.hessian(size, 1);
    double[] r = matrix.clone();
    assertTrue(Cholesky.factor(r, size, 2));
    for (int i = 0; i < size; i++) {
      assertTrue(r[i * size + i] > 0);
      for (int j = 0; j < size; j++) {
        double sum = 0;
        for (int k = Math.max(i, j); k < size; k++) {
          sum += r[i * size + k] * r[j * size + k];
        }
        assertEquals(matrix[i * size + j], sum, 1e-12 * size);
      }
    }
  }

  @Test
  void whatIsNotPositiveDefiniteIsNotFactored() {
    assertFalse(Cholesky.factor(new double[] {1, 2, 2, 1}, 2, 1));
    assertFalse(Cholesky.factor(new double[] {0}, 1, 1));
    assertFalse(Cholesky.factor(new double[] {Double.NaN}, 1, 1));
    assertFalse(Cholesky.factor(new double[] {Double.POSITIVE_INFINITY}, 1, 1));
  }
}
