package quamba.udf.quantizer;

import quamba.kernels.Half;
import quamba.kernels.QuantizedWeight.Int4;

/**
 * The scales of all groups of a tile's rows, chosen from its weights before any is rounded, and the
 * grid that they make.
 *
 * <p>For a weight that is multiplied as 8-bit integers the scales decide the row's, and that
 * decides which scales are best: so they are chosen again for the row's scale that came of the last
 * choice, and each row keeps the choice that serves it best.
 */
final class StaticScales {
  private static final int LANES = RowTile.LANES;
  private static final int ROUNDS = 2;

  private final WeightFormat format;
  private final int[] columns; // (in): natural order
  private final int group;
  private final LaneGrid grid;
  private final float[] scales; // (groups, LANES)
  private final float[] channels = new float[LANES]; // rows' scales that the grid rounds for
  private int inUse = -1; // the group whose scales the grid has

  private StaticScales(WeightFormat format, int in) {
    this.format = format;
    columns = WeightRounding.natural(in);
    group = format.group(in);
    grid = new LaneGrid(format);
    scales = new float[format.groups(in) * LANES];
  }

  /**
   * Chooses scales.
   *
   * @param weights (in, LANES), in the order in which columns are stored
   * @param importance (in) weights of the squared errors
   */
  static StaticScales choose(
      WeightFormat format, ScaleChoice choice, float[] weights, float[] importance) {
    int in = importance.length;
    StaticScales chosen = new StaticScales(format, in);
    if (format != WeightFormat.INT4_AS_INT8) {
      chosen.search(choice, weights, importance);
      return chosen;
    }
    StaticScales plain = choose(WeightFormat.INT4, choice, weights, importance);
    System.arraycopy(plain.scales, 0, chosen.scales, 0, plain.scales.length);
    chosen.setChannels(plain.channels(plain.codes(weights), plain.columns));
    float[] least = chosen.errors(weights, importance);
    float[] channels = chosen.channels.clone();
    for (int round = 0; round < ROUNDS; round++) {
      StaticScales next = new StaticScales(format, in);
      next.setChannels(channels);
      next.search(choice, weights, importance);
      channels = next.channels(next.codes(weights), next.columns);
      chosen.takeBetter(next, least, next.errors(weights, importance));
    }
    return chosen;
  }

  /**
   * Leaves the scales of 4-bit groups to be chosen one after the other by {@link
   * #choose(ScaleChoice, int, float[], float[])}, for rows' scales as they would be of {@code
   * weights}.
   */
  static StaticScales undecided(
      WeightFormat format, ScaleChoice choice, float[] weights, float[] importance) {
    StaticScales undecided = new StaticScales(format, importance.length);
    if (format == WeightFormat.INT4_AS_INT8) {
      StaticScales plain = choose(WeightFormat.INT4, choice, weights, importance);
      undecided.setChannels(plain.channels(plain.codes(weights), plain.columns));
    }
    return undecided;
  }

  /** The grid that rounds with these scales. */
  LaneGrid grid() {
    return grid;
  }

  /** (groups, LANES). */
  float[] scales() {
    return scales;
  }

  /** Makes the grid round the column that is stored as {@code column}. */
  void use(int column) {
    if (column / group != inUse) {
      inUse = column / group;
      grid.setScales(scales, inUse * LANES);
    }
  }

  /** Sets the rows' scales as 8-bit codes ({@link Int4#rowScale}) that the grid rounds for. */
  void setChannels(float[] channelScales) {
    System.arraycopy(channelScales, 0, channels, 0, LANES);
    grid.setChannels(channels);
    inUse = -1;
  }

  /** Chooses the scales of one group anew, the columns {@code 0 … size − 1} of {@code weights}. */
  void choose(ScaleChoice choice, int index, float[] weights, float[] importance) {
    ScaleSearch search = new ScaleSearch(format, choice, grid);
    search.choose(weights, 0, importance.length, importance, scales, index * LANES);
    inUse = -1;
  }

  /**
   * Moves the scales of one group by {@code slope / curvature}, those of half the loss's
   * derivatives by them; a scale that would become 0 stays.
   */
  void refit(int index, float[] slopes, float[] curvatures) {
    for (int lane = 0; lane < LANES; lane++) {
      int at = index * LANES + lane;
      float moved = Half.round(scales[at] + slopes[lane] / curvatures[lane]);
      scales[at] = curvatures[lane] > 0 && moved != 0 ? moved : scales[at];
    }
    inUse = -1;
  }

  /**
   * The rows' scales as 8-bit codes, as {@link Int4#rowScale} has them.
   *
   * @param codes (in, LANES)
   * @param stored (in): where each of these columns is stored
   */
  float[] channels(float[] codes, int[] stored) {
    float[] largest = new float[LANES];
    for (int i = 0; i < stored.length; i++) {
      int scale = stored[i] / group * LANES;
      for (int lane = 0; lane < LANES; lane++) {
        float value = codes[i * LANES + lane] * scales[scale + lane];
        largest[lane] = Math.max(largest[lane], Math.abs(value));
      }
    }
    for (int lane = 0; lane < LANES; lane++) {
      largest[lane] /= Int4.MOST;
    }
    return largest;
  }

  private void search(ScaleChoice choice, float[] weights, float[] importance) {
    ScaleSearch search = new ScaleSearch(format, choice, grid);
    for (int from = 0; from < columns.length; from += group) {
      int to = Math.min(columns.length, from + group);
      search.choose(weights, from, to, importance, scales, from / group * LANES);
    }
    inUse = -1;
  }

  private float[] codes(float[] weights) {
    float[] codes = new float[weights.length];
    float[] values = new float[LANES];
    for (int column : columns) {
      use(column);
      grid.round(weights, column * LANES, codes, column * LANES, values, 0);
    }
    return codes;
  }

  /** Squared errors of the rows, with the scales as 8-bit codes that their codes lead to. */
  private float[] errors(float[] weights, float[] importance) {
    float[] codes = codes(weights);
    float[] values = new float[LANES];
    float[] errors = new float[LANES];
    StaticScales actual = new StaticScales(format, columns.length);
    System.arraycopy(scales, 0, actual.scales, 0, scales.length);
    actual.setChannels(channels(codes, columns));
    for (int column : columns) {
      actual.use(column);
      actual.grid.values(codes, column * LANES, values, 0);
      for (int lane = 0; lane < LANES; lane++) {
        float error = weights[column * LANES + lane] - values[lane];
        errors[lane] += importance[column] * error * error;
      }
    }
    return errors;
  }

  /** Takes the rows whose {@code errors} are below {@code least}, which becomes the lesser. */
  private void takeBetter(StaticScales other, float[] least, float[] errors) {
    for (int lane = 0; lane < LANES; lane++) {
      if (errors[lane] < least[lane]) {
        least[lane] = errors[lane];
        channels[lane] = other.channels[lane];
        for (int i = lane; i < scales.length; i += LANES) {
          scales[i] = other.scales[i];
        }
      }
    }
    setChannels(channels);
  }
}
