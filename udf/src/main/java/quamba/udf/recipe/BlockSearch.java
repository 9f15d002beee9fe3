package quamba.udf.recipe;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import quamba.udf.calibration.Calibration;
import quamba.udf.model.QuantizedNames;
import quamba.udf.model.QuantizedNames.Tap;

/**
 * Finds the layers that gain most from activations in floating point: those that alone bring the
 * model nearest to the one in floats, by Kullback–Leibler divergence. The head counts as a layer
 * behind the last.
 */
final class BlockSearch {
  private static final List<String> HEAD = List.of(QuantizedNames.HEAD_INPUT_SCALE);

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
   * At most the share {@code budget} of the layers and the head, as the nearest whole number; in
   * ascending order, none that loses.
   *
   * @param layers how many there are without the head
   */
  List<Integer> choose(int layers, double budget) {
    double all = divergence(layers, List.of());
    double[] gains = new double[layers + 1];
    for (int layer = 0; layer <= layers; layer++) {
      gains[layer] = all - divergence(layers, List.of(layer));
      progress.accept(
          String.format(
              Locale.ROOT,
              "%s: activations in floats take %.5f off a divergence of %.5f",
              layer == layers ? "lm_head" : "layer " + layer,
              gains[layer],
              all));
    }
    List<Integer> order = new ArrayList<>();
    for (int layer = 0; layer <= layers; layer++) {
      order.add(layer);
    }
    order.sort(Comparator.comparingDouble(layer -> -gains[layer]));
    return order.stream()
        .limit(Math.round(budget * gains.length))
        .filter(layer -> gains[layer] > 0)
        .sorted()
        .toList();
  }

  private double divergence(int layers, List<Integer> chosen) {
    Set<String> scales =
        chosen.stream()
            .flatMap(layer -> layer == layers ? HEAD.stream() : scales(layer))
            .collect(Collectors.toSet());
    return calibration.compare(floats, quantized.without(scales)).divergencePerToken();
  }

  private static Stream<String> scales(int layer) {
    return Arrays.stream(Tap.values()).map(tap -> QuantizedNames.scale(layer, tap));
  }
}
