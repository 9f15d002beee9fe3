package quamba.udf.recipe;

import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * What rounding did to a layer.
 *
 * @param layer its number; as many as there are layers for the head
 * @param errors of each matrix's outputs, squared, in units of the squared outputs
 * @param saturated share of the layer's int8 inputs of matrices that are clipped, 0 of floats
 */
public record LayerReport(int layer, Map<String, Double> errors, double saturated) {
  /** Sorts by name. */
  public LayerReport {
    errors = new TreeMap<>(errors);
  }

  @Override
  public String toString() {
    String all =
        errors.entrySet().stream()
            .map(it -> "%s %.2e".formatted(it.getKey(), it.getValue()))
            .collect(Collectors.joining(", "));
    return String.format(
        Locale.ROOT, "layer %d: relative error %s; clipped %.4f%%", layer, all, 100 * saturated);
  }
}
