package quamba.udf.recipe;

import java.util.List;
import java.util.Map;
import java.util.Set;
import quamba.udf.Backends;
import quamba.udf.calibration.Calibration;
import quamba.udf.calibration.Comparison;
import quamba.udf.calibration.MomentsBySite;
import quamba.udf.calibration.Ranges;
import quamba.udf.calibration.SampleRun;
import quamba.udf.calibration.Site;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.QuantizedNames.Tap;

/** Calibration in this thread, samples in two parts as two executors would see them. */
record LocalCalibration(List<int[]> samples, List<int[]> heldOut, int threads)
    implements Calibration {
  private int longest() {
    return Math.max(longest(samples), longest(heldOut));
  }

  private static int longest(List<int[]> all) {
    return all.stream().mapToInt(sample -> sample.length).max().orElse(1);
  }

  @Override
  public Ranges ranges(TensorSource model, Set<Tap> taps) {
    return SampleRun.ranges(model, Backends.open("cpu", threads), longest(), samples, taps);
  }

  @Override
  public MomentsBySite moments(TensorSource model, Map<Site, float[]> most) {
    return SampleRun.moments(
        model, Backends.open("cpu", threads), longest(), samples, new MomentsBySite(most));
  }

  @Override
  public Comparison compare(TensorSource reference, TensorSource model) {
    return compare(reference, model, heldOut, threads);
  }

  static Comparison compare(
      TensorSource reference, TensorSource model, List<int[]> windows, int threads) {
    int longest = longest(windows);
    Comparison sum = Comparison.NONE;
    try (SampleRun expected = SampleRun.open(reference, Backends.open("cpu", threads), longest);
        SampleRun found = SampleRun.open(model, Backends.open("cpu", threads), longest)) {
      for (int[] window : windows) {
        sum = sum.add(SampleRun.compare(expected, found, window));
      }
    }
    return sum;
  }
}
