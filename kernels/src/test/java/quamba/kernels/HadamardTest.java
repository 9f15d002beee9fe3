package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HadamardTest {
  /** A guard of foreign elements on both sides of what is transformed. */
  private static final int MARGIN = 3;

  /** Half the spacing of floats at 1. */
  private static final double HALF_ULP = 0x1p-24;

  /** Column {@code j} of H, in exact integers. */
  private static int[] column(int n, int j) {
    double[] x = new double[n];
    x[j] = 1;
    Hadamard.of(n).apply(x, 0);
    int[] column = new int[n];
    for (int i = 0; i < n; i++) {
      column[i] = (int) Math.round(x[i] * Math.sqrt(n));
      assertEquals(column[i], x[i] * Math.sqrt(n), 1e-12);
    }
    return column;
  }

  private static int[][] matrix(int n) {
    int[][] matrix = new int[n][n];
    for (int j = 0; j < n; j++) {
      int[] column = column(n, j);
      for (int i = 0; i < n; i++) {
        matrix[i][j] = column[i];
      }
    }
    return matrix;
  }

  /** −1 where an odd number of bits is shared: the Sylvester matrix in natural order. */
  private static int sylvester(int row, int column) {
    return Integer.bitCount(row & column) % 2 == 0 ? 1 : -1;
  }

  /** χ(a) of a prime field: 1 for squares other than 0, −1 for the rest. */
  private static int character(int a, int prime) {
    int element = Math.floorMod(a, prime);
    for (int root = 1; root < prime; root++) {
      if (root * root % prime == element) {
        return 1;
      }
    }
    return element == 0 ? 0 : -1;
  }

  @ParameterizedTest
  @ValueSource(
      ints = {1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 160, 192, 224, 256})
  void rowsAreOrthogonalInExactIntegers(int n) {
    int[][] h = matrix(n);
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        assertEquals(1, Math.abs(h[i][j]));
        int product = 0;
        for (int k = 0; k < n; k++) {
          product += h[i][k] * h[j][k];
        }
        assertEquals(i == j ? n : 0, product);
      }
    }
  }

  @Test
  void powersOfTwoAreSylvesterMatrices() {
    int[][] h = matrix(64);
    for (int i = 0; i < 64; i++) {
      for (int j = 0; j < 64; j++) {
        assertEquals(sylvester(i, j), h[i][j]);
      }
    }
  }

  @Test
  void twelveIsTheConferenceMatrixOfFive() {
    int[][] plain = {{1, 1}, {1, -1}};
    int[][] diagonal = {{1, -1}, {-1, -1}};
    int[][] h = matrix(12);
    for (int i = 0; i < 12; i++) {
      for (int j = 0; j < 12; j++) {
        int row = i / 2;
        int column = j / 2;
        int sign = row == 0 || column == 0 ? 1 : character(row - column, 5);
        int expected = row == column ? diagonal[i % 2][j % 2] : sign * plain[i % 2][j % 2];
        assertEquals(expected, h[i][j]);
        assertEquals(h[j][i], h[i][j]);
      }
    }
  }

  private static int twenty(int i, int j) {
    if (j == 0 || i == j) {
      return 1;
    }
    return i == 0 ? -1 : -character(j - i, 19);
  }

  @Test
  void twentyAndFortyAreThePaleyMatrixOfNineteen() {
    int[][] h20 = matrix(20);
    int[][] h40 = matrix(40);
    for (int i = 0; i < 40; i++) {
      for (int j = 0; j < 40; j++) {
        int expected = twenty(i % 20, j % 20) * (i >= 20 && j >= 20 ? -1 : 1);
        assertEquals(expected, h40[i][j]);
        if (i < 20 && j < 20) {
          assertEquals(expected, h20[i][j]);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {12, 28, 40})
  void theSmallMatrixMixesTheOutermostIndex(int base) {
    int power = 8;
    int[][] small = matrix(base);
    int[][] h = matrix(base * power);
    for (int i = 0; i < h.length; i++) {
      for (int j = 0; j < h.length; j++) {
        int expected = small[i / power][j / power] * sylvester(i % power, j % power);
        assertEquals(expected, h[i][j]);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 8, 12, 16, 20, 28, 48, 64, 256, 640, 768, 896, 1024, 1536, 2560, 5120})
  void floatsAgreeWithDoublesAndLeaveTheRestAlone(int n) {
    Random random = new Random(n);
    double[] expected = new double[n + 2 * MARGIN];
    float[] x = new float[n + 2 * MARGIN];
    double square = 0;
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
      expected[i] = x[i];
      square += expected[i] * expected[i];
    }
    float[] original = x.clone();
    Hadamard hadamard = Hadamard.of(n);
    hadamard.apply(expected, MARGIN);
    hadamard.apply(x, MARGIN);

    // Each of log2(n) levels, the small matrix's sum and the scale round by half an ulp of a value
    // that is at most the norm of x.
    double tolerance = (Math.log(n) / Math.log(2) + 41) * HALF_ULP * Math.sqrt(square);
    for (int i = 0; i < x.length; i++) {
      assertEquals(expected[i], x[i], tolerance);
    }
    hadamard.applyTransposed(x, MARGIN);
    for (int i = 0; i < x.length; i++) {
      boolean foreign = i < MARGIN || i >= MARGIN + n;
      assertEquals(original[i], x[i], foreign ? 0 : 2 * tolerance);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {20, 28, 40, 640, 1024, 1536})
  void transposedIsTheInverse(int n) {
    Random random = new Random(n);
    double[] x = random.doubles(n, -1, 1).toArray();
    double[] original = x.clone();
    Hadamard.of(n).apply(x, 0);
    Hadamard.of(n).applyTransposed(x, 0);
    assertArrayEquals(original, x, 1e-13);
  }

  @Test
  void twentyIsNotSymmetric() {
    int[][] h = matrix(20);
    assertTrue(h[0][1] != h[1][0]);
  }

  @ParameterizedTest
  @ValueSource(ints = {-4, 0, 3, 6, 10, 36, 44, 100, 120})
  void otherSizesAreRefused(int n) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Hadamard.of(n)).getMessage();
    assertTrue(message.contains(" " + n + ":") && message.contains("28·2^k"), message);
  }
}
