package quamba.udf.quantizer;

import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * What a layer's Hessian says of how errors of one column are to be made good by the next: with
 * {@code H + λI = R Rᵀ}, R upper triangular (columns in the order of rounding), the loss {@code e
 * (H + λI) eᵀ} of a row's errors e is {@code Σ_j R_jj² (e_j + Σ_{k<j} e_k R_kj / R_jj)²}. So column
 * j is best rounded from its weight plus that inner sum, and what remains counts R_jj² times. This
 * is GPTQ without the inverse: the update of all later weights by each error, taken together.
 */
final class Feedback {
  private static final int ATTEMPTS = 4;
  private static final double MORE_DAMPING = 10;
  private static final double LEAST_DAMPING = 1e-4;

  private final int in;
  private final int[] order;
  private final float[] factors;
  private final float[] hessian;
  private final float[] importance;
  private final double damping;

  /** Of the matrix and its root R, both (in, in) with columns as they are rounded. */
  private Feedback(double[] hessian, double[] root, int[] order, double damping) {
    in = order.length;
    this.order = order;
    this.damping = damping;
    factors = new float[in * in];
    this.hessian = new float[in * in];
    importance = new float[in];
    for (int j = 0; j < in; j++) {
      double pivot = root[j * in + j];
      importance[j] = (float) (pivot * pivot);
      for (int k = 0; k < in; k++) {
        factors[j * in + k] = k < j ? (float) (root[k * in + j] / pivot) : 0;
        this.hessian[j * in + k] = (float) hessian[order[j] * in + order[k]];
      }
      this.hessian[j * in + j] = (float) (hessian[order[j] * in + order[j]] + damping);
    }
  }

  /**
   * Prepares a Hessian.
   *
   * @param fraction λ in units of the diagonal's mean; ten times as much after each failure
   * @throws IllegalArgumentException if it cannot be factored
   */
  static Feedback of(
      String layer, double[] hessian, int in, double fraction, Gptq.Order order, int threads) {
    double mean = 0;
    for (int j = 0; j < in; j++) {
      mean += hessian[j * in + j] / in;
    }
    int[] columns = columns(hessian, in, order);
    double damping = mean == 0 ? 1 : fraction * mean;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      double[] root = ordered(hessian, in, columns);
      for (int j = 0; j < in; j++) {
        root[j * in + j] += damping;
      }
      if (Cholesky.factor(root, in, threads)) {
        return new Feedback(hessian, root, columns, damping);
      }
      damping = Math.max(damping, LEAST_DAMPING * mean) * MORE_DAMPING;
    }
    throw new IllegalArgumentException(
        "%s: the Hessian is not positive definite, even with %s times the mean of its diagonal (%s) added: calibrate with more or other text, or do without GPTQ"
            .formatted(layer, damping / MORE_DAMPING / mean, mean));
  }

  private static int[] columns(double[] hessian, int in, Gptq.Order order) {
    IntStream natural = IntStream.range(0, in);
    if (order == Gptq.Order.NATURAL) {
      return natural.toArray();
    }
    return natural
        .boxed()
        .sorted(Comparator.comparingDouble((Integer j) -> -hessian[j * in + j]))
        .mapToInt(Integer::intValue)
        .toArray();
  }

  private static double[] ordered(double[] hessian, int in, int[] columns) {
    double[] ordered = new double[in * in];
    for (int j = 0; j < in; j++) {
      for (int k = 0; k < in; k++) {
        ordered[j * in + k] = hessian[columns[j] * in + columns[k]];
      }
    }
    return ordered;
  }

  /** Columns. */
  int in() {
    return in;
  }

  /** (in): the column that is rounded first, second, … */
  int[] order() {
    return order;
  }

  /** (in, in), at (j, k): R_kj / R_jj for k below j. */
  float[] factors() {
    return factors;
  }

  /** (in, in): H + λI. */
  float[] hessian() {
    return hessian;
  }

  /** (in): R_jj². */
  float[] importance() {
    return importance;
  }

  /** (in): {@link #importance} of the columns as they are stored. */
  float[] storedImportance() {
    float[] stored = new float[in];
    for (int j = 0; j < in; j++) {
      stored[order[j]] = importance[j];
    }
    return stored;
  }

  /** λ. */
  double damping() {
    return damping;
  }
}
