package quamba.udf.quantizer;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Sums {@code H = (2/n) Σ x xᵀ} over the inputs x of a layer, for {@link Gptq}. Products are taken
 * in single precision and summed in double from every {@link #CHUNK} inputs on. Partial sums of
 * many tasks can be merged in any order that is the same each time.
 */
public final class Hessian {
  private static final int CHUNK = 64;
  private static final int UNROLL = 4; // with an array for each: what the compiler vectorises
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
    float[][] inputs = new float[rows][];
    for (int row = 0; row < rows; row++) {
      inputs[row] = Arrays.copyOfRange(x, row * in, (row + 1) * in);
    }
    List<Runnable> pieces = new ArrayList<>();
    for (int first = 0; first < in; first += PIECE) {
      int from = first;
      pieces.add(() -> addPiece(inputs, from, Math.min(in, from + PIECE)));
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
  private void addPiece(float[][] inputs, int from, int to) {
    float[] products = new float[in];
    for (int first = 0; first < inputs.length; first += CHUNK) {
      int last = Math.min(inputs.length, first + CHUNK);
      for (int i = from; i < to; i++) {
        for (int j = i; j < in; j++) {
          products[j] = 0;
        }
        int row = first;
        for (; row <= last - UNROLL; row += UNROLL) {
          addFour(inputs, row, i, products);
        }
        for (; row < last; row++) {
          addOne(inputs[row], i, products);
        }
        for (int j = i; j < in; j++) {
          sums[i * in + j] += products[j];
        }
      }
    }
  }

  private static void addFour(float[][] inputs, int row, int i, float[] products) {
    float[] a = inputs[row];
    float[] b = inputs[row + 1];
    float[] c = inputs[row + 2];
    float[] d = inputs[row + 3];
    float ai = a[i];
    float bi = b[i];
    float ci = c[i];
    float di = d[i];
    for (int j = i; j < products.length; j++) {
      products[j] += ai * a[j] + bi * b[j] + ci * c[j] + di * d[j];
    }
  }

  private static void addOne(float[] input, int i, float[] products) {
    float factor = input[i];
    for (int j = i; j < products.length; j++) {
      products[j] += factor * input[j];
    }
  }
}
