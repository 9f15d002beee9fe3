package quamba.udf.recipe;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.IntStream;
import quamba.udf.Backends;
import quamba.udf.calibration.Calibration;
import quamba.udf.calibration.Comparison;
import quamba.udf.calibration.MomentsBySite;
import quamba.udf.calibration.Ranges;
import quamba.udf.calibration.SampleRun;
import quamba.udf.calibration.Site;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.QuantizedNames.Tap;

/** Calibration without Spark: a part of the samples for each thread. */
record LocalCalibration(List<int[]> samples, List<int[]> heldOut, int threads)
    implements Calibration {
  private static int longest(List<int[]> all) {
    return all.stream().mapToInt(sample -> sample.length).max().orElse(1);
  }

  /** Each part in a thread of its own, results in their order. */
  private static <T> List<T> inParts(List<int[]> all, int parts, Function<List<int[]>, T> work) {
    return IntStream.range(0, parts)
        .parallel()
        .mapToObj(
            part -> {
              List<int[]> mine = new ArrayList<>();
              for (int i = part; i < all.size(); i += parts) {
                mine.add(all.get(i));
              }
              return work.apply(mine);
            })
        .toList();
  }

  @Override
  public Ranges ranges(TensorSource model, Set<Tap> taps) {
    return inParts(
            samples,
            threads,
            part -> SampleRun.ranges(model, Backends.open("cpu", 1), longest(samples), part, taps))
        .stream()
        .reduce(Ranges::add)
        .orElseThrow();
  }

  @Override
  public MomentsBySite moments(TensorSource model, Map<Site, float[]> most) {
    return inParts(
            samples,
            threads,
            part ->
                SampleRun.moments(
                    model,
                    Backends.open("cpu", 1),
                    longest(samples),
                    part,
                    new MomentsBySite(most)))
        .stream()
        .reduce(MomentsBySite::add)
        .orElseThrow();
  }

  @Override
  public Comparison compare(TensorSource reference, TensorSource model) {
    return compare(reference, model, heldOut, threads);
  }

  static Comparison compare(
      TensorSource reference, TensorSource model, List<int[]> windows, int threads) {
    return compareAll(reference, List.of(model), windows, threads).get(0);
  }

  /** Several models beside the same reference. */
  static List<Comparison> compareAll(
      TensorSource reference, List<TensorSource> models, List<int[]> windows, int threads) {
    int longest = longest(windows);
    return inParts(windows, threads, part -> comparePart(reference, models, part, longest)).stream()
        .reduce(LocalCalibration::sums)
        .orElseThrow();
  }

  private static List<Comparison> sums(List<Comparison> some, List<Comparison> others) {
    return IntStream.range(0, some.size()).mapToObj(i -> some.get(i).add(others.get(i))).toList();
  }

  private static List<Comparison> comparePart(
      TensorSource reference, List<TensorSource> models, List<int[]> windows, int longest) {
    List<SampleRun> runs = new ArrayList<>();
    try (SampleRun expected = SampleRun.open(reference, Backends.open("cpu", 1), longest)) {
      models.forEach(model -> runs.add(SampleRun.open(model, Backends.open("cpu", 1), longest)));
      List<Comparison> sums = Collections.nCopies(models.size(), Comparison.NONE);
      for (int[] window : windows) {
        sums = sums(sums, SampleRun.compareAll(expected, runs, window));
      }
      return sums;
    } finally {
      runs.forEach(SampleRun::close);
    }
  }
}
