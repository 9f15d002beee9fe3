package quamba.udf.quantizer;

import quamba.kernels.QuantizedWeight.Int4;

/**
 * Rounds lanes of a {@link RowTile} to the codes of a format, each lane with a scale of its own.
 * Also measures what that costs. The loops have no branches, so that the compiler vectorises them.
 */
final class LaneGrid {
  private static final int LANES = RowTile.LANES;

  /** 1.5 · 2^23: adding and subtracting it rounds to an integer, ties to even. */
  private static final float ROUND = 12582912f;

  private final float low;
  private final float high;
  private final boolean expanded;
  private final float[] scale = new float[LANES];
  private final float[] divisor = new float[LANES]; // scale, or infinite where that is 0
  private final float[] ratio = new float[LANES];
  private final float[] channel = new float[LANES];

  LaneGrid(WeightFormat format) {
    low = format.low();
    high = format.high();
    expanded = format == WeightFormat.INT4_AS_INT8;
  }

  /** Sets the rows' scales of the expansion to 8 bits; formats without it take no notice. */
  void setChannels(float[] channelScales) {
    System.arraycopy(channelScales, 0, channel, 0, LANES);
  }

  /** Sets the scales of the columns that come next, LANES of {@code scales} from {@code at} on. */
  void setScales(float[] scales, int at) {
    System.arraycopy(scales, at, scale, 0, LANES);
    for (int lane = 0; lane < LANES; lane++) {
      divisor[lane] = scale[lane] == 0 ? Float.POSITIVE_INFINITY : scale[lane];
    }
    if (expanded) {
      for (int lane = 0; lane < LANES; lane++) {
        ratio[lane] = Int4.ratio(scale[lane], channel[lane]);
      }
    }
  }

  /** Rounds one column to the nearest code, and says what weight that code stands for. */
  void round(float[] weights, int at, float[] codes, int codesAt, float[] values, int valuesAt) {
    if (expanded) {
      roundExpanded(weights, at, codes, codesAt, values, valuesAt);
      return;
    }
    for (int lane = 0; lane < LANES; lane++) {
      float code = weights[at + lane] / divisor[lane];
      code = Math.max(low, Math.min(high, code)) + ROUND - ROUND;
      codes[codesAt + lane] = code;
      values[valuesAt + lane] = code * scale[lane];
    }
  }

  /** The nearer of the code by division and its neighbour on the other side of the weight. */
  private void roundExpanded(
      float[] weights, int at, float[] codes, int codesAt, float[] values, int valuesAt) {
    for (int lane = 0; lane < LANES; lane++) {
      float weight = weights[at + lane];
      float exact = Math.max(low, Math.min(high, weight / divisor[lane]));
      float code = exact + ROUND - ROUND;
      float value = expand(code, lane);
      float step = weight > value ? ratio[lane] : -ratio[lane];
      float next = Math.max(low, Math.min(high, code + Math.signum(step)));
      float other = expand(next, lane);
      boolean better = Math.abs(weight - other) < Math.abs(weight - value);
      codes[codesAt + lane] = better ? next : code;
      values[valuesAt + lane] = better ? other : value;
    }
  }

  private float expand(float code, int lane) {
    float wide = Math.max(-Int4.MOST, Math.min(Int4.MOST, code * ratio[lane]));
    return (wide + ROUND - ROUND) * channel[lane];
  }

  /** The weight that each code of a column stands for. */
  void values(float[] codes, int at, float[] values, int to) {
    for (int lane = 0; lane < LANES; lane++) {
      values[to + lane] =
          expanded ? expand(codes[at + lane], lane) : codes[at + lane] * scale[lane];
    }
  }

  /** {@code errors += importance · (weight − value)²} of one column, rounded by division. */
  void addErrors(float[] weights, int at, float importance, float[] errors) {
    if (expanded) {
      for (int lane = 0; lane < LANES; lane++) {
        float code = Math.max(low, Math.min(high, weights[at + lane] / divisor[lane]));
        float error = weights[at + lane] - expand(code + ROUND - ROUND, lane);
        errors[lane] += importance * error * error;
      }
      return;
    }
    for (int lane = 0; lane < LANES; lane++) {
      float code = Math.max(low, Math.min(high, weights[at + lane] / divisor[lane]));
      float error = weights[at + lane] - (code + ROUND - ROUND) * scale[lane];
      errors[lane] += importance * error * error;
    }
  }

  /**
   * Adds one column to the sums of the least-squares scale {@code Σ importance · weight · code / Σ
   * importance · code²}.
   */
  void addFit(float[] weights, int at, float importance, float[] products, float[] squares) {
    for (int lane = 0; lane < LANES; lane++) {
      float code = Math.max(low, Math.min(high, weights[at + lane] / divisor[lane]));
      code = code + ROUND - ROUND;
      products[lane] += importance * code * weights[at + lane];
      squares[lane] += importance * code * code;
    }
  }

  /** The weight of largest magnitude of each lane, with its sign. */
  static float[] extremes(float[] weights, int from, int to) {
    float[] extremes = new float[LANES];
    for (int column = from; column < to; column++) {
      for (int lane = 0; lane < LANES; lane++) {
        float weight = weights[column * LANES + lane];
        extremes[lane] = Math.abs(weight) > Math.abs(extremes[lane]) ? weight : extremes[lane];
      }
    }
    return extremes;
  }
}
