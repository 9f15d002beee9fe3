package quamba.udf.quantizer;

import java.util.Arrays;
import quamba.kernels.Half;

/**
 * Chooses the scale of a group of columns for every lane of a tile. The candidates are fractions of
 * the scale at which the largest magnitude reaches the end of the grid, for 4 bits with both signs,
 * as the grid is longer on one side; then the least-squares scale of the best one's codes. The
 * candidate with the least {@code Σ importance · (weight − value)²} wins, the first of equals.
 */
final class ScaleSearch {
  private static final int LANES = RowTile.LANES;
  private static final int REFINEMENTS = 3;

  /** Dense where weights are distributed normally, then down to where outliers count little. */
  private static final float[] FRACTIONS = {
    1.1f, 1.05f, 1, 0.95f, 0.9f, 0.85f, 0.8f, 0.75f, 0.7f, 0.65f, 0.6f, 0.55f, 0.5f, 0.42f, 0.35f,
    0.29f, 0.24f, 0.2f, 0.165f, 0.135f, 0.11f, 0.09f
  };

  private final WeightFormat format;
  private final ScaleChoice choice;
  private final LaneGrid grid;
  private final float[] candidate = new float[LANES];
  private final float[] errors = new float[LANES];
  private final float[] best = new float[LANES];
  private final float[] least = new float[LANES];

  /** Searches by the errors of {@code grid}, which has the format {@code format}. */
  ScaleSearch(WeightFormat format, ScaleChoice choice, LaneGrid grid) {
    this.format = format;
    this.choice = choice;
    this.grid = grid;
  }

  /**
   * Writes the scales of columns {@code from … to − 1} of {@code weights} (columns, LANES) to
   * {@code scales[at …]}, values of binary16.
   *
   * @param importance one for each column, from index {@code from} on
   */
  void choose(float[] weights, int from, int to, float[] importance, float[] scales, int at) {
    float[] extremes = LaneGrid.extremes(weights, from, to);
    Arrays.fill(least, Float.POSITIVE_INFINITY);
    if (choice == ScaleChoice.ABSMAX) {
      for (int lane = 0; lane < LANES; lane++) {
        best[lane] = Half.round(Math.abs(extremes[lane]) * format.absmaxFraction());
      }
    } else {
      search(extremes, weights, from, to, importance);
    }
    System.arraycopy(best, 0, scales, at, LANES);
  }

  private void search(float[] extremes, float[] weights, int from, int to, float[] importance) {
    for (float fraction : FRACTIONS) {
      tryScale(extremes, fraction / format.low(), weights, from, to, importance);
      if (format.bits() == 4) {
        tryScale(extremes, -fraction / format.low(), weights, from, to, importance);
      }
    }
    for (int i = 0; i < REFINEMENTS; i++) {
      refine(weights, from, to, importance);
    }
  }

  private void tryScale(
      float[] extremes, float factor, float[] weights, int from, int to, float[] importance) {
    for (int lane = 0; lane < LANES; lane++) {
      candidate[lane] = Half.round(extremes[lane] * factor);
    }
    tryCandidate(weights, from, to, importance);
  }

  private void refine(float[] weights, int from, int to, float[] importance) {
    float[] products = new float[LANES];
    float[] squares = new float[LANES];
    grid.setScales(best, 0);
    for (int column = from; column < to; column++) {
      grid.addFit(weights, column * LANES, importance[column], products, squares);
    }
    for (int lane = 0; lane < LANES; lane++) {
      boolean fitted = squares[lane] > 0;
      candidate[lane] = fitted ? Half.round(products[lane] / squares[lane]) : best[lane];
    }
    tryCandidate(weights, from, to, importance);
  }

  private void tryCandidate(float[] weights, int from, int to, float[] importance) {
    grid.setScales(candidate, 0);
    Arrays.fill(errors, 0);
    for (int column = from; column < to; column++) {
      grid.addErrors(weights, column * LANES, importance[column], errors);
    }
    for (int lane = 0; lane < LANES; lane++) {
      if (errors[lane] < least[lane]) {
        least[lane] = errors[lane];
        best[lane] = candidate[lane];
      }
    }
  }
}
