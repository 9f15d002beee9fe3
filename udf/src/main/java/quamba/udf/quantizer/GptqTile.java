package quamba.udf.quantizer;

import java.util.Arrays;
import quamba.kernels.QuantizedWeight.Int4;

/** {@link Gptq} on some rows beside each other. Arrays are (in, LANES), columns as rounded. */
final class GptqTile {
  private static final int LANES = RowTile.LANES;
  private static final int BLOCK = Int4.GROUP;

  private final Gptq gptq;
  private final Feedback feedback;
  private final int in;
  private final RowTile tile;
  private final boolean byGroup; // scales are chosen when a group is reached
  private final StaticScales scales;
  private final LaneGrid grid;
  private final float[] codes;
  private final float[] values; // what the codes stand for
  private final float[] errors; // weight − value

  GptqTile(Gptq gptq, Feedback feedback, Matrix weight, int first) {
    this.gptq = gptq;
    this.feedback = feedback;
    in = feedback.in();
    tile = RowTile.of(weight, first, feedback.order());
    float[] stored = RowTile.of(weight, first, WeightRounding.natural(in)).values();
    float[] importance = feedback.storedImportance();
    byGroup = gptq.format().bits() == 4 && gptq.options().order() == Gptq.Order.NATURAL;
    scales =
        byGroup
            ? StaticScales.undecided(gptq.format(), gptq.choice(), stored, importance)
            : StaticScales.choose(gptq.format(), gptq.choice(), stored, importance);
    grid = scales.grid();
    codes = new float[in * LANES];
    values = new float[in * LANES];
    errors = new float[in * LANES];
  }

  /** Rounds, hands codes and scales over, and says the loss. */
  double quantize(CodeRows target) {
    for (int from = 0; from < in; from += BLOCK) {
      roundBlock(from, Math.min(in, from + BLOCK));
    }
    evaluate();
    float[] gradient = gradient();
    for (int sweep = 0; sweep < gptq.options().sweeps(); sweep++) {
      for (int from = 0; from < in; from += BLOCK) {
        int to = Math.min(in, from + BLOCK);
        if (byGroup) {
          refitScale(from, to, gradient);
        }
        descend(from, to, gradient);
      }
    }
    if (gptq.format() == WeightFormat.INT4_AS_INT8) {
      evaluate();
      gradient = gradient();
    }
    for (int j = 0; j < in; j++) {
      target.putCodes(tile.first(), tile.rows(), feedback.order()[j], codes, j * LANES);
    }
    target.putScales(tile.first(), tile.rows(), scales.scales());
    return loss(gradient);
  }

  /** Rounds columns {@code from … to − 1} in turn, corrected by the errors of all before. */
  private void roundBlock(int from, int to) {
    float[] corrected = new float[(to - from) * LANES];
    System.arraycopy(tile.values(), from * LANES, corrected, 0, corrected.length);
    float[] factors = feedback.factors();
    LaneProduct.add(to - from, from, factors, from * in, in, errors, 0, corrected, 0);
    if (byGroup) {
      chooseScales(from, to, corrected);
    }
    for (int j = from; j < to; j++) {
      int at = (j - from) * LANES;
      LaneProduct.add(1, j - from, factors, j * in + from, in, errors, from * LANES, corrected, at);
      scales.use(feedback.order()[j]);
      grid.round(corrected, at, codes, j * LANES, values, j * LANES);
      takeErrors(j);
    }
  }

  /**
   * Chooses the scales of a group from the weights that would leave no loss but that of the columns
   * before, that is, were all of them rounded by nothing.
   */
  private void chooseScales(int from, int to, float[] corrected) {
    float[] best = corrected.clone();
    float[] corrections = new float[best.length]; // weight − best
    float[] importance = new float[to - from];
    for (int j = from; j < to; j++) {
      int at = (j - from) * LANES;
      LaneProduct.add(1, j - from, feedback.factors(), j * in + from, in, corrections, 0, best, at);
      for (int lane = 0; lane < LANES; lane++) {
        corrections[at + lane] = tile.values()[j * LANES + lane] - best[at + lane];
      }
      importance[j - from] = feedback.importance()[j];
    }
    scales.choose(gptq.choice(), from / BLOCK, best, importance);
  }

  private void takeErrors(int j) {
    for (int i = j * LANES; i < (j + 1) * LANES; i++) {
      errors[i] = tile.values()[i] - values[i];
    }
  }

  /** Values and errors of the codes as they are. */
  private void evaluate() {
    if (gptq.format() == WeightFormat.INT4_AS_INT8) {
      scales.setChannels(scales.channels(codes, feedback.order()));
    }
    for (int j = 0; j < in; j++) {
      scales.use(feedback.order()[j]);
      grid.values(codes, j * LANES, values, j * LANES);
      takeErrors(j);
    }
  }

  /** (H + λI) · errors: half the loss's derivative by each error. */
  private float[] gradient() {
    float[] gradient = new float[in * LANES];
    for (int from = 0; from < in; from += BLOCK) {
      int rows = Math.min(in, from + BLOCK) - from;
      LaneProduct.add(
          rows, in, feedback.hessian(), from * in, in, errors, 0, gradient, from * LANES);
    }
    return gradient;
  }

  /** Moves the scale of the group {@code from … to − 1} to the best given all codes and scales. */
  private void refitScale(int from, int to, float[] gradient) {
    int size = to - from;
    float[] hessian = feedback.hessian();
    float[] curved = new float[size * LANES]; // of the group, H · codes
    LaneProduct.add(size, size, hessian, from * in + from, in, codes, from * LANES, curved, 0);
    float[] slopes = new float[LANES];
    float[] curvatures = new float[LANES];
    for (int i = 0; i < size * LANES; i++) {
      float code = codes[from * LANES + i];
      slopes[i % LANES] += code * gradient[from * LANES + i];
      curvatures[i % LANES] += code * curved[i];
    }
    scales.refit(from / BLOCK, slopes, curvatures);
    float[] changes = Arrays.copyOfRange(values, from * LANES, to * LANES);
    for (int j = from; j < to; j++) {
      scales.use(feedback.order()[j]);
      grid.values(codes, j * LANES, values, j * LANES);
      takeErrors(j);
    }
    for (int i = 0; i < changes.length; i++) {
      changes[i] -= values[from * LANES + i];
    }
    LaneProduct.add(in, size, hessian, from, in, changes, 0, gradient, 0);
  }

  /** Moves columns {@code from … to − 1} in turn to the best code given all others. */
  private void descend(int from, int to, float[] gradient) {
    float[] hessian = feedback.hessian();
    float[] changes = new float[(to - from) * LANES];
    float[] target = new float[LANES];
    for (int j = from; j < to; j++) {
      float curvature = hessian[j * in + j];
      int at = j * LANES;
      int change = (j - from) * LANES;
      for (int lane = 0; lane < LANES; lane++) {
        target[lane] = values[at + lane] + gradient[at + lane] / curvature;
        changes[change + lane] = values[at + lane];
      }
      scales.use(feedback.order()[j]);
      grid.round(target, 0, codes, at, values, at);
      for (int lane = 0; lane < LANES; lane++) {
        changes[change + lane] -= values[at + lane];
      }
      takeErrors(j);
      LaneProduct.add(
          to - from, 1, hessian, from * in + j, in, changes, change, gradient, from * LANES);
    }
    LaneProduct.add(from, to - from, hessian, from, in, changes, 0, gradient, 0);
    LaneProduct.add(
        in - to, to - from, hessian, to * in + from, in, changes, 0, gradient, to * LANES);
  }

  /** {@code Σ e H eᵀ} over the rows, from (H + λI) · errors. */
  private double loss(float[] gradient) {
    double loss = 0;
    for (int i = 0; i < in * LANES; i++) {
      loss += errors[i] * (gradient[i] - feedback.damping() * errors[i]);
    }
    return loss;
  }
}
