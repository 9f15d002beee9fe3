package quamba.job;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import quamba.udf.calibration.Comparison;
import quamba.udf.model.ModelBytes;
import quamba.udf.recipe.LayerReport;

/**
 * What quantizing a model came to.
 *
 * @param layers what rounding did to each
 * @param before size of the model in floats
 * @param after size of the quantized model
 * @param comparison of the two on held-out texts
 */
record QuantizeReport(
    List<LayerReport> layers, ModelBytes before, ModelBytes after, Comparison comparison) {
  /** A table of the layers, then a line each for the sizes and the held-out texts. */
  List<String> lines() {
    Collection<String> matrices = new TreeSet<>();
    layers.forEach(layer -> matrices.addAll(layer.errors().keySet()));
    List<String> lines = new ArrayList<>();
    StringBuilder head = new StringBuilder("%-12s".formatted("error of"));
    matrices.forEach(matrix -> head.append("%11s".formatted(matrix)));
    lines.add(head.append("%11s".formatted("clipped")).toString());
    for (LayerReport layer : layers) {
      StringBuilder line = new StringBuilder("%-12s".formatted(layer.part()));
      for (String matrix : matrices) {
        Double error = layer.errors().get(matrix);
        line.append(
            "%11s".formatted(error == null ? "" : String.format(Locale.ROOT, "%.2e", error)));
      }
      lines.add(
          line.append(String.format(Locale.ROOT, "%10.4f%%", 100 * layer.saturated())).toString());
    }
    lines.add(
        String.format(
            Locale.ROOT,
            "tensors: %,d bytes in fp16 before, %,d after, %.1f%% of what these weights, with a"
                + " head of their own, take in fp16",
            before.asHalves(),
            after.stored(),
            100 * after.share()));
    lines.add(
        String.format(
            Locale.ROOT,
            "held-out texts: perplexity %.4f before, %.4f after; divergence %.5f a token",
            comparison.referencePerplexity(),
            comparison.perplexity(),
            comparison.divergencePerToken()));
    return lines;
  }
}
