package quamba.udf.calibration;

import java.io.Serializable;
import java.util.Arrays;

/**
 * The second moments {@code Σ x xᵀ} of the inputs of one matrix over all tokens.
 *
 * <p>Sums are exact whatever the order of samples: columns are divided by a power of two near their
 * largest magnitude, a sample's sum of products is taken in single precision, in an order of its
 * own, and rounded to a multiple of 2⁻²⁰; such multiples add up in double precision without
 * rounding until some 2³³ of them came together.
 */
public final class Moments implements Serializable {
  private static final long serialVersionUID = 1;

  private static final double QUANTUM = 1 << 20;
  private static final int STRIP = 4; // rows at once, and tokens

  private final int size;
  private final float[] units; // (size): powers of two
  private final double[] sums; // upper triangle, row after row, in units and quanta
  private long tokens;

  /**
   * Of nothing yet.
   *
   * @param most (size) largest magnitude of each column, more or less
   */
  Moments(float[] most) {
    size = most.length;
    units = new float[size];
    for (int i = 0; i < size; i++) {
      units[i] = most[i] > 0 ? Math.scalb(1f, Math.getExponent(most[i]) + 1) : 1;
    }
    sums = new double[Math.toIntExact((long) size * (size + 1) / 2)];
  }

  /** Adds a sample, (tokens, size). */
  void add(int count, float[] values) {
    int padded = (count + STRIP - 1) / STRIP * STRIP;
    float[] x = new float[padded * size];
    for (int at = 0; at < count * size; at++) {
      x[at] = values[at] / units[at % size];
    }
    float[][] rows = new float[STRIP][size];
    for (int first = 0; first < size; first += STRIP) {
      int strip = Math.min(STRIP, size - first);
      for (float[] row : rows) {
        Arrays.fill(row, 0);
      }
      for (int at = 0; at < x.length; at += STRIP * size) {
        for (int row = 0; row < strip; row++) {
          multiply(rows[row], x, at, first + row);
        }
      }
      for (int row = 0; row < strip; row++) {
        int i = first + row;
        int to = start(i) - i;
        for (int j = i; j < size; j++) {
          sums[to + j] += Math.rint(rows[row][j] * QUANTUM);
        }
      }
    }
    tokens += count;
  }

  /** Four tokens from {@code at} on, row {@code i} of the products. */
  private void multiply(float[] row, float[] x, int at, int i) {
    int at1 = at + size;
    int at2 = at1 + size;
    int at3 = at2 + size;
    float a0 = x[at + i];
    float a1 = x[at1 + i];
    float a2 = x[at2 + i];
    float a3 = x[at3 + i];
    for (int j = i; j < size; j++) {
      row[j] += a0 * x[at + j] + a1 * x[at1 + j] + a2 * x[at2 + j] + a3 * x[at3 + j];
    }
  }

  /** Where row {@code i} of the triangle begins. */
  private int start(int i) {
    return (int) ((long) i * size - (long) i * (i - 1) / 2);
  }

  /** Adds what another saw; in any order the result is the same. */
  void add(Moments other) {
    for (int i = 0; i < sums.length; i++) {
      sums[i] += other.sums[i];
    }
    tokens += other.tokens;
  }

  /** (size, size): {@code (2/tokens) Σ x xᵀ}, symmetric. */
  public double[] hessian() {
    double[] hessian = new double[Math.multiplyExact(size, size)];
    for (int i = 0; i < size; i++) {
      int from = start(i) - i;
      for (int j = i; j < size; j++) {
        double value = sums[from + j] / QUANTUM * units[i] * units[j] * 2 / tokens;
        hessian[i * size + j] = value;
        hessian[j * size + i] = value;
      }
    }
    return hessian;
  }
}
