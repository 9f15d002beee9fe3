package quamba.udf.calibration;

import java.io.Serializable;

/**
 * How large the activations at one site are. Ranges of samples add up to the same bit for bit in
 * any order.
 */
public final class Range implements Serializable {
  private static final long serialVersionUID = 1;

  /** Bits of a float's fraction that tell bins apart: 16 bins to a factor of two. */
  private static final int FRACTION_BITS = 4;

  private static final int SHIFT = 23 - FRACTION_BITS;
  private static final int BINS = 1 << (8 + FRACTION_BITS);

  private final float[] most; // (columns): largest magnitude
  private final float[] mean; // (columns): largest over samples of the mean magnitude
  private final long[] counts = new long[BINS]; // of magnitudes, by their bits

  Range(int columns) {
    most = new float[columns];
    mean = new float[columns];
  }

  /** Adds a sample, (tokens, columns). */
  void add(int tokens, float[] values) {
    int columns = most.length;
    double[] sums = new double[columns];
    for (int token = 0, at = 0; token < tokens; token++) {
      for (int column = 0; column < columns; column++, at++) {
        float magnitude = Math.abs(values[at]);
        most[column] = Math.max(most[column], magnitude);
        sums[column] += magnitude;
        counts[Float.floatToRawIntBits(magnitude) >>> SHIFT]++;
      }
    }
    for (int column = 0; column < columns; column++) {
      mean[column] = Math.max(mean[column], (float) (sums[column] / tokens));
    }
  }

  /** Adds what another saw. */
  void add(Range other) {
    for (int column = 0; column < most.length; column++) {
      most[column] = Math.max(most[column], other.most[column]);
      mean[column] = Math.max(mean[column], other.mean[column]);
    }
    for (int bin = 0; bin < BINS; bin++) {
      counts[bin] += other.counts[bin];
    }
  }

  /** (columns): largest magnitude. */
  public float[] most() {
    return most.clone();
  }

  /** (columns): mean magnitude over a sample's tokens, the largest of all samples. */
  public float[] mean() {
    return mean.clone();
  }

  /** Largest magnitude of all columns. */
  public float mostOfAll() {
    float all = 0;
    for (float one : most) {
      all = Math.max(all, one);
    }
    return all;
  }

  /** Share of magnitudes over {@code limit}, to within the width of a bin. */
  public double shareAbove(float limit) {
    long above = 0;
    long all = 0;
    for (int bin = 0; bin < BINS; bin++) {
      all += counts[bin];
      above += middle(bin) > limit ? counts[bin] : 0;
    }
    return all == 0 ? 0 : (double) above / all;
  }

  /**
   * Mean squared error if magnitudes are rounded to multiples of {@code scale} and held to {@code
   * codes} of them.
   */
  public double error(float scale, int codes) {
    double limit = (double) scale * codes;
    double step = (double) scale * scale / 12;
    double sum = 0;
    long all = 0;
    for (int bin = 0; bin < BINS; bin++) {
      if (counts[bin] > 0) {
        double value = middle(bin);
        double beyond = value - limit;
        double error = beyond > 0 ? beyond * beyond : value < scale / 2 ? value * value : step;
        sum += counts[bin] * error;
        all += counts[bin];
      }
    }
    return all == 0 ? 0 : sum / all;
  }

  private static float middle(int bin) {
    return Float.intBitsToFloat((bin << SHIFT) + (1 << (SHIFT - 1)));
  }
}
