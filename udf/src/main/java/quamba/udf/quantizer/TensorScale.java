package quamba.udf.quantizer;

import quamba.kernels.Half;

/** The one scale of a whole 8-bit tensor. */
final class TensorScale {
  private static final int MOST = 127;
  private static final int FRACTIONS = 40;
  private static final float STEP = 0.0125f;

  private TensorScale() {}

  /** By largest magnitude, or the fraction of that with the least weighted squared error. */
  static float choose(ScaleChoice choice, Matrix weight, float[] importance) {
    float largest = 0;
    for (float value : weight.values()) {
      largest = Math.max(largest, Math.abs(value));
    }
    float best = Half.round(largest / MOST);
    if (choice == ScaleChoice.ABSMAX) {
      return best;
    }
    double least = error(weight, importance, best);
    for (int i = 1; i < FRACTIONS; i++) {
      float scale = Half.round(largest / MOST * (1 - i * STEP));
      double error = error(weight, importance, scale);
      if (error < least) {
        least = error;
        best = scale;
      }
    }
    return best;
  }

  private static double error(Matrix weight, float[] importance, float scale) {
    float divisor = scale == 0 ? Float.POSITIVE_INFINITY : scale;
    double sum = 0;
    for (int row = 0, at = 0; row < weight.out(); row++) {
      double rowSum = 0;
      for (int column = 0; column < weight.in(); column++, at++) {
        float value = weight.values()[at];
        double code = Math.rint(Math.max(-MOST, Math.min(MOST, value / divisor)));
        double error = value - code * scale;
        rowSum += importance[column] * error * error;
      }
      sum += rowSum;
    }
    return sum;
  }
}
