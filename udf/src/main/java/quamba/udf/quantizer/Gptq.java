package quamba.udf.quantizer;

import quamba.kernels.QuantizedWeight;

/**
 * Rounds a layer's weight so that its outputs change least: minimises {@code tr((W − Q) H (W −
 * Q)ᵀ)} for the Hessian {@code H = (2/n) Σ x xᵀ} of the layer's inputs (Frantar et al. 2022, spec
 * 6.2). Columns are rounded one after the other, each after the errors of those before were made
 * good as far as they can be; then come sweeps of coordinate descent, in which each column moves to
 * the best code, and the scale of each 4-bit group to the best value, given all others.
 *
 * <p>Against Quamba2: scales have the least error and not 2/15 of the largest magnitude; a weight
 * that is multiplied as 8-bit integers is rounded for what those integers stand for; columns that
 * calibration never saw keep their nearest code instead of becoming zero.
 *
 * @param format of the result
 * @param choice how scales are chosen
 * @param options the rest
 */
public record Gptq(WeightFormat format, ScaleChoice choice, Options options) {
  /** In which order columns are rounded. */
  public enum Order {
    /**
     * As they are stored; the scales of a 4-bit group come from its weights as corrected so far.
     */
    NATURAL,
    /** Largest diagonal of the Hessian first; scales come from the weights as they were. */
    ACTIVATION
  }

  /**
   * How to go about it.
   *
   * @param damping added to the Hessian's diagonal, in units of its mean
   * @param order of the columns
   * @param sweeps of coordinate descent afterwards
   * @param threads that work; the result does not depend on them
   */
  public record Options(double damping, Order order, int sweeps, int threads) {
    /** What has done best on trained models, on {@code threads} threads. */
    public static Options standard(int threads) {
      return new Options(0.01, Order.NATURAL, 4, threads);
    }
  }

  /**
   * A rounded weight.
   *
   * @param weight codes and scales
   * @param loss {@code tr((W − Q) H (W − Q)ᵀ)} with Q the weight that products really use
   */
  public record Result(QuantizedWeight weight, double loss) {}

  /** Refuses the format that has no rows of its own. */
  public Gptq {
    if (format == WeightFormat.INT8_TENSOR) {
      throw new IllegalArgumentException("GPTQ rounds rows apart: INT8_TENSOR has one scale");
    }
  }

  /**
   * Rounds one layer.
   *
   * @param layer its name, for messages
   * @param weight (out, in)
   * @param hessian (in, in), symmetric, stays as it is
   * @throws IllegalArgumentException if the Hessian cannot be factored, or {@link WeightRounding}
   *     would refuse the weight
   */
  public Result quantize(String layer, Matrix weight, double[] hessian) {
    int in = weight.in();
    if (hessian.length != (long) in * in) {
      throw new IllegalArgumentException(
          "%s: a Hessian of (%d, %d) for %d columns has %d elements"
              .formatted(layer, in, in, in, hessian.length));
    }
    WeightRounding.checkFinite(weight);
    int threads = options.threads();
    Feedback feedback =
        Feedback.of(layer, hessian, in, options.damping(), options.order(), threads);
    CodeRows codes = new CodeRows(format, weight);
    double[] losses = new double[(weight.out() + RowTile.LANES - 1) / RowTile.LANES];
    RowTile.forEach(
        weight.out(),
        threads,
        (first, rows) -> {
          GptqTile tile = new GptqTile(this, feedback, weight, first);
          losses[first / RowTile.LANES] = tile.quantize(codes);
        });
    double loss = 0;
    for (double part : losses) {
      loss += part;
    }
    return new Result(codes.packed(), loss);
  }
}
