package quamba.udf.calibration;

import java.io.Serializable;
import quamba.udf.quantizer.Hessian;

/**
 * The second moments {@code Σ x xᵀ} of the inputs of one matrix over all tokens.
 *
 * <p>Sums are exact whatever the order of samples: columns are divided by a power of two near their
 * largest magnitude, the sum of a sample is rounded to a multiple of 2⁻²⁰, and such multiples add
 * up in double precision without rounding until some 2³² tokens came together.
 */
public final class Moments implements Serializable {
  private static final long serialVersionUID = 1;

  private static final double QUANTUM = 1 << 20;

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
    float[] x = new float[count * size];
    for (int token = 0, at = 0; token < count; token++) {
      for (int column = 0; column < size; column++, at++) {
        x[at] = values[at] / units[column];
      }
    }
    Hessian sample = new Hessian(size);
    sample.add(x, count, 1);
    double[] matrix = sample.matrix();
    for (int i = 0, to = 0; i < size; i++) {
      for (int j = i; j < size; j++, to++) {
        sums[to] += Math.rint(matrix[i * size + j] * (count * QUANTUM / 2));
      }
    }
    tokens += count;
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
    for (int i = 0, from = 0; i < size; i++) {
      for (int j = i; j < size; j++, from++) {
        double value = sums[from] / QUANTUM * units[i] * units[j] * 2 / tokens;
        hessian[i * size + j] = value;
        hessian[j * size + i] = value;
      }
    }
    return hessian;
  }
}
