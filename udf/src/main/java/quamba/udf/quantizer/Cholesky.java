package quamba.udf.quantizer;

import java.util.ArrayList;
import java.util.List;

/**
 * The factorisation {@code H = R Rᵀ} of a symmetric positive definite matrix with R upper
 * triangular, from the last column to the first, in blocks. R is the inverse of the upper Cholesky
 * factor U of {@code H⁻¹ = Uᵀ U} that GPTQ uses, but needs no inverse.
 */
final class Cholesky {
  private static final int BLOCK = 64;
  private static final int UNROLL = 4;

  private final int size;
  private final double[] r; // (size, size), of which the upper triangle counts
  private final int threads;

  private Cholesky(int size, double[] r, int threads) {
    this.size = size;
    this.r = r;
    this.threads = threads;
  }

  /**
   * Overwrites the upper triangle of {@code matrix} (size, size) with R.
   *
   * @return whether the matrix was positive definite; if not, it is spoilt
   */
  static boolean factor(double[] matrix, int size, int threads) {
    return new Cholesky(size, matrix, threads).run();
  }

  private boolean run() {
    for (int to = size; to > 0; to -= BLOCK) {
      int from = Math.max(0, to - BLOCK);
      if (!diagonal(from, to)) {
        return false;
      }
      above(from, to);
      subtract(from, to);
    }
    return true;
  }

  /** The triangle of a block on the diagonal. */
  private boolean diagonal(int from, int to) {
    for (int j = to - 1; j >= from; j--) {
      double pivot = r[j * size + j] - dot(j, j, j + 1, to);
      if (!(pivot > 0) || pivot == Double.POSITIVE_INFINITY) {
        return false;
      }
      double root = Math.sqrt(pivot);
      r[j * size + j] = root;
      for (int i = from; i < j; i++) {
        r[i * size + j] = (r[i * size + j] - dot(i, j, j + 1, to)) / root;
      }
    }
    return true;
  }

  /** The rows above a block on the diagonal. */
  private void above(int from, int to) {
    for (int i = 0; i < from; i++) {
      for (int j = to - 1; j >= from; j--) {
        r[i * size + j] = (r[i * size + j] - dot(i, j, j + 1, to)) / r[j * size + j];
      }
    }
  }

  private double dot(int i, int j, int from, int to) {
    double sum = 0;
    for (int k = from; k < to; k++) {
      sum += r[i * size + k] * r[j * size + k];
    }
    return sum;
  }

  /** Takes the product of a block's columns from all that is left of them. */
  private void subtract(int from, int to) {
    double[] columns = new double[BLOCK * from]; // (BLOCK, from), the last rows maybe zero
    for (int i = 0; i < from; i++) {
      for (int k = from; k < to; k++) {
        columns[(k - from) * from + i] = r[i * size + k];
      }
    }
    List<Runnable> pieces = new ArrayList<>();
    for (int first = 0; first < from; first += BLOCK) {
      int begin = first;
      int end = Math.min(from, first + BLOCK);
      pieces.add(
          () -> {
            for (int i = begin; i < end; i++) {
              subtractRow(columns, i, from);
            }
          });
    }
    if (!pieces.isEmpty()) {
      RowTile.runAll(pieces, threads);
    }
  }

  private void subtractRow(double[] columns, int i, int count) {
    int row = i * size;
    for (int k = 0; k < BLOCK; k += UNROLL) {
      int at = k * count;
      double a0 = columns[at + i];
      double a1 = columns[at + count + i];
      double a2 = columns[at + 2 * count + i];
      double a3 = columns[at + 3 * count + i];
      for (int j = i; j < count; j++) {
        r[row + j] -=
            a0 * columns[at + j]
                + a1 * columns[at + count + j]
                + a2 * columns[at + 2 * count + j]
                + a3 * columns[at + 3 * count + j];
      }
    }
  }
}
