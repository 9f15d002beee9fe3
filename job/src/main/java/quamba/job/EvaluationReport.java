package quamba.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import quamba.job.Gate.Metric;

/** What an evaluation found: a table for people, JSON for programs, values for a gate. */
record EvaluationReport(List<Findings> findings) {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  /** One line a metric. */
  List<String> lines() {
    int width = findings.stream().mapToInt(it -> it.name().length()).max().orElse(0);
    String row = "%-" + Math.max(width, "subject".length()) + "s  %10s  %-14s  %12s  %12s";
    List<String> lines = new ArrayList<>();
    lines.add(row.formatted("subject", "n", "metric", "model", "reference"));
    for (Findings found : findings) {
      found
          .metrics()
          .forEach(
              (metric, it) ->
                  lines.add(
                      row.formatted(
                          found.name(),
                          found.count(),
                          metric,
                          number(it.value()),
                          Double.isNaN(it.reference()) ? "" : number(it.reference()))));
    }
    return lines;
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, Math.abs(value) < 10 ? "%.5f" : "%.3f", value);
  }

  /** Everything by kind and name; what the reference has under names of its own. */
  String json() {
    ObjectNode root = JSON.createObjectNode();
    for (Findings.Kind kind : Findings.Kind.values()) {
      root.putObject(kind.key());
    }
    for (Findings found : findings) {
      ObjectNode values = root.withObjectProperty(found.kind().key()).putObject(found.name());
      values.put(found.kind().counted(), found.count());
      if (found.kind() == Findings.Kind.TASK) {
        values.putNull("acc_norm"); // there for every task, also where it means nothing
      }
      found
          .metrics()
          .forEach(
              (metric, it) -> {
                values.put(metric, it.value());
                if (!Double.isNaN(it.reference())) {
                  values.put("reference_" + metric, it.reference());
                }
              });
    }
    return root.toPrettyString() + "\n";
  }

  /** Writes the JSON. */
  void write(Path file) throws IOException {
    Files.writeString(file, json());
  }

  /** Metrics by the names that a gate has for them. */
  Map<String, List<Metric>> metrics() {
    Map<String, List<Metric>> metrics = new LinkedHashMap<>();
    for (Findings found : findings) {
      found
          .metrics()
          .forEach(
              (metric, it) ->
                  metrics
                      .computeIfAbsent(found.gateName(metric), name -> new ArrayList<>())
                      .add(it));
    }
    return metrics;
  }
}
