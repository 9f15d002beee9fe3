package quamba.udf.recipe;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import quamba.udf.calibration.Calibration;
import quamba.udf.model.QuantizedNames;
import quamba.udf.model.QuantizedNames.Tap;

/**
 * Finds the layers that gain most from activations in floating point: those that alone bring the
 * model nearest to the one in floats, by Kullback–Leibler divergence.
 */
final class BlockSearch {
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
   * order, none that loses.
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
    List<Integer> order = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      order.add(layer);
    }
    order.sort(Comparator.comparingDouble(layer -> -gains[layer]));
    return order.stream()
        .limit(Math.round(budget * layers))
        .filter(layer -> gains[layer] > 0)
        .sorted()
        .toList();
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
