package quamba.udf.quantizer;

import java.util.Arrays;
import java.util.Random;

/** Plain double-precision versions of what the quantizer computes. */
final class Naive {
  private Naive() {}

  /** The nearest binary16 value, by its definition: 11 significant bits, spacing at least 2^-24. */
  static double half(double value) {
    if (value == 0) {
      return 0;
    }
    int exponent = Math.max(Math.getExponent(value), -14);
    double spacing = Math.scalb(1.0, exponent - 10);
    return Math.rint(value / spacing) * spacing;
  }

  static double round(double value, double scale, int low, int high) {
    double code = scale == 0 ? 0 : Math.max(low, Math.min(high, Math.rint(value / scale)));
    return code + 0.0; // no negative zero
  }

  /** {@code tr((W − Q) H (W − Q)ᵀ)}. */
  static double loss(Matrix weight, Matrix rounded, double[] hessian) {
    int in = weight.in();
    double loss = 0;
    for (int row = 0; row < weight.out(); row++) {
      for (int i = 0; i < in; i++) {
        for (int j = 0; j < in; j++) {
          loss +=
              error(weight, rounded, row, i) * hessian[i * in + j] * error(weight, rounded, row, j);
        }
      }
    }
    return loss;
  }

  private static double error(Matrix weight, Matrix rounded, int row, int column) {
    int at = row * weight.in() + column;
    return (double) weight.values()[at] - rounded.values()[at];
  }

  /** Sum over a matrix of {@code importance · (W − Q)²}. */
  static double squaredError(Matrix weight, Matrix rounded, float[] importance) {
    double sum = 0;
    for (int row = 0; row < weight.out(); row++) {
      for (int i = 0; i < weight.in(); i++) {
        double error = error(weight, rounded, row, i);
        sum += importance[i] * error * error;
      }
    }
    return sum;
  }

  /** {@code (2/n) Σ x xᵀ} of inputs whose channels differ in size and go together. */
  static double[] hessian(int in, long seed) {
    Random random = new Random(seed);
    int samples = 3 * in;
    double[] hessian = new double[in * in];
    double[] x = new double[in];
    for (int sample = 0; sample < samples; sample++) {
      double common = random.nextGaussian();
      for (int i = 0; i < in; i++) {
        x[i] = (0.2 + i % 7 * 0.3) * random.nextGaussian() + common * Math.sin(i);
      }
      for (int i = 0; i < in; i++) {
        for (int j = 0; j < in; j++) {
          hessian[i * in + j] += 2 * x[i] * x[j] / samples;
        }
      }
    }
    return hessian;
  }

  static double[] identity(int in) {
    double[] identity = new double[in * in];
    for (int i = 0; i < in; i++) {
      identity[i * in + i] = 1;
    }
    return identity;
  }

  /** Normally distributed weights, each 16th column ten times as large. */
  static Matrix weight(int out, int in, long seed) {
    Random random = new Random(seed);
    float[] values = new float[out * in];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (random.nextGaussian() * (i % in % 16 == 3 ? 0.3 : 0.03));
    }
    return new Matrix(out, in, values);
  }

  static float[] ones(int count) {
    float[] ones = new float[count];
    Arrays.fill(ones, 1);
    return ones;
  }
}
