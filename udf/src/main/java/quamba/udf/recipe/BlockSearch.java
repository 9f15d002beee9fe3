package quamba.udf.recipe;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import quamba.udf.calibration.Calibration;
import quamba.udf.model.QuantizedNames;
import quamba.udf.model.QuantizedNames.Tap;

/**
 * Finds the layers that gain most from activations in floating point: those that alone bring the
 * model nearest to the one in floats, by Kullback–Leibler divergence.
 */
final class BlockSearch {
  /** How many layers that gain less alone are tried in the place of the last that is chosen. */
  private static final int CONTENDERS = 3;

  private final Calibration calibration;
  private final DraftModel floats;
  private final DraftModel quantized;
  private final Consumer<String> progress;

  BlockSearch(
      Calibration calibration, DraftModel floats, DraftModel quantized, Consumer<String> progress) {
    this.calibration = calibration;
    this.floats = floats;
    this.quantized = quantized;
    this.progress = progress;
  }

  /**
   * At most the share {@code budget} of {@code layers}, as the nearest whole number; in ascending
   * order, none that loses alone.
   */
  List<Integer> choose(int layers, double budget) {
    double all = divergence(List.of());
    double[] gains = new double[layers];
    for (int layer = 0; layer < layers; layer++) {
      gains[layer] = all - divergence(List.of(layer));
      progress.accept(
          String.format(
              Locale.ROOT,
              "layer %d: activations in floats take %.5f off a divergence of %.5f",
              layer,
              gains[layer],
              all));
    }
    List<Integer> order =
        IntStream.range(0, layers)
            .boxed()
            .filter(layer -> gains[layer] > 0)
            .sorted(Comparator.comparingDouble(layer -> -gains[layer]))
            .toList();
    int count = (int) Math.min(order.size(), Math.round(budget * layers));
    List<Integer> others = order.subList(count, Math.min(order.size(), count + CONTENDERS));
    return count == 0 ? List.of() : contest(order.subList(0, count), others);
  }

  /** Gains do not just add up: the last of {@code chosen} against each of {@code others}. */
  private List<Integer> contest(List<Integer> chosen, List<Integer> others) {
    List<Integer> best = sorted(chosen);
    double least = others.isEmpty() ? 0 : divergence(best);
    for (int other : others) {
      List<Integer> trial = new ArrayList<>(chosen.subList(0, chosen.size() - 1));
      trial.add(other);
      double divergence = divergence(sorted(trial));
      progress.accept(
          String.format(Locale.ROOT, "layers %s: a divergence of %.5f", sorted(trial), divergence));
      if (divergence < least) {
        best = sorted(trial);
        least = divergence;
      }
    }
    return best;
  }

  private static List<Integer> sorted(List<Integer> layers) {
    return layers.stream().sorted().toList();
  }

  private double divergence(List<Integer> layers) {
    return calibration.compare(floats, withFloats(quantized, layers)).divergencePerToken();
  }

  /** The model with activations of these layers in floats. */
  static DraftModel withFloats(DraftModel model, List<Integer> layers) {
    Set<String> scales =
        layers.stream()
            .flatMap(
                layer -> Arrays.stream(Tap.values()).map(tap -> QuantizedNames.scale(layer, tap)))
            .collect(Collectors.toSet());
    return model.without(scales);
  }
}
