package quamba.udf.quantizer;

import java.util.ArrayList;
import java.util.List;

/**
 * Sums {@code H = (2/n) Σ x xᵀ} over the inputs x of a layer, for {@link Gptq}. Products are taken
 * in single precision and summed in double from every {@link #CHUNK} inputs on. Partial sums of
 * many tasks can be merged in any order that is the same each time.
 */
public final class Hessian {
  private static final int CHUNK = 64;
  private static final int UNROLL = 8;
  private static final int PIECE = 16;

  private final int in;
  private final double[] sums; // (in, in) upper triangle
  private long count;

  /** No inputs yet, of a layer with {@code in} columns. */
  public Hessian(int in) {
    this.in = in;
    sums = new double[in * in];
  }

  /**
   * Adds inputs.
   *
   * @param x (rows, in)
   * @param threads that work; the result does not depend on them
   */
  public void add(float[] x, int rows, int threads) {
    if (x.length < (long) rows * in) {
      throw new IllegalArgumentException(
          "%d inputs of %d columns in %d elements".formatted(rows, in, x.length));
    }
    List<Runnable> pieces = new ArrayList<>();
    for (int first = 0; first < in; first += PIECE) {
      int from = first;
      pieces.add(() -> addPiece(x, rows, from, Math.min(in, from + PIECE)));
    }
    RowTile.runAll(pieces, threads);
    count += rows;
  }

  /** Adds what another has summed. */
  public void merge(Hessian other) {
    if (other.in != in) {
      throw new IllegalArgumentException(
          "Hessians of %d and %d columns do not add up".formatted(in, other.in));
    }
    for (int i = 0; i < sums.length; i++) {
      sums[i] += other.sums[i];
    }
    count += other.count;
  }

  /** Inputs so far. */
  public long count() {
    return count;
  }

  /** (in, in): H, zeros if there were no inputs. */
  public double[] matrix() {
    double[] matrix = new double[in * in];
    double factor = count == 0 ? 0 : 2.0 / count;
    for (int i = 0; i < in; i++) {
      for (int j = i; j < in; j++) {
        matrix[i * in + j] = sums[i * in + j] * factor;
        matrix[j * in + i] = matrix[i * in + j];
      }
    }
    return matrix;
  }

  /** Rows {@code from … to − 1} of the sums. */
  private void addPiece(float[] x, int rows, int from, int to) {
    float[] products = new float[in];
    for (int first = 0; first < rows; first += CHUNK) {
      int last = Math.min(rows, first + CHUNK);
      for (int i = from; i < to; i++) {
        for (int j = i; j < in; j++) {
          products[j] = 0;
        }
        int row = first;
        for (; row <= last - UNROLL; row += UNROLL) {
          addEight(x, row * in, i, products);
        }
        for (; row < last; row++) {
          addOne(x, row * in, i, products);
        }
        for (int j = i; j < in; j++) {
          sums[i * in + j] += products[j];
        }
      }
    }
  }

  private void addEight(float[] x, int at, int i, float[] products) {
    float x0 = x[at + i];
    float x1 = x[at + in + i];
    float x2 = x[at + 2 * in + i];
    float x3 = x[at + 3 * in + i];
    float x4 = x[at + 4 * in + i];
    float x5 = x[at + 5 * in + i];
    float x6 = x[at + 6 * in + i];
    float x7 = x[at + 7 * in + i];
    for (int j = i; j < in; j++) {
      float sum = Math.fma(x0, x[at + j], products[j]);
      sum = Math.fma(x1, x[at + in + j], sum);
      sum = Math.fma(x2, x[at + 2 * in + j], sum);
      sum = Math.fma(x3, x[at + 3 * in + j], sum);
      sum = Math.fma(x4, x[at + 4 * in + j], sum);
      sum = Math.fma(x5, x[at + 5 * in + j], sum);
      sum = Math.fma(x6, x[at + 6 * in + j], sum);
      products[j] = Math.fma(x7, x[at + 7 * in + j], sum);
    }
  }

  private void addOne(float[] x, int at, int i, float[] products) {
    for (int j = i; j < in; j++) {
      products[j] = Math.fma(x[at + i], x[at + j], products[j]);
    }
  }
}
