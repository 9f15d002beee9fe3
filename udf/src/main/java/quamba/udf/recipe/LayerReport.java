package quamba.udf.recipe;

import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * What rounding did to a layer, the embedding or the head.
 *
 * @param part its name
 * @param errors of each matrix's outputs, squared, in units of the squared outputs; of the
 *     embedding, its own
 * @param saturated share of the layer's int8 inputs of matrices that are clipped, 0 of floats
 */
public record LayerReport(String part, Map<String, Double> errors, double saturated) {
  /** Sorts by name. */
  public LayerReport {
    errors = new TreeMap<>(errors);
  }

  /** Of one matrix alone. */
  static LayerReport of(String matrix, double error) {
    return new LayerReport(matrix, Map.of(matrix, error), 0);
  }

  @Override
  public String toString() {
    String all =
        errors.entrySet().stream()
            .map(it -> "%s %.2e".formatted(it.getKey(), it.getValue()))
            .collect(Collectors.joining(", "));
    return String.format(
        Locale.ROOT, "%s: relative error %s; clipped %.4f%%", part, all, 100 * saturated);
  }
}
