package quamba.job;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import quamba.job.JobConfig.Execution;

/**
 * What an evaluate job means, from its flags; every part refuses what cannot be.
 *
 * @param reference a model to compare with
 */
record EvaluateConfig(
    Path model, Optional<Path> reference, Subjects subjects, Execution execution, Verdict verdict) {
  /** Refuses a gate that names what is not measured. */
  EvaluateConfig {
    Map<String, Gate.Unit> metrics = new TreeMap<>();
    Gate.Unit both = reference.isPresent() ? Gate.Unit.OF_REFERENCE : Gate.Unit.ABSOLUTE;
    if (!subjects.texts().isEmpty()) {
      metrics.put("perplexity", both);
      metrics.put("nll", both);
      if (reference.isPresent()) {
        metrics.put("kl", Gate.Unit.ABSOLUTE);
        metrics.put("agreement", Gate.Unit.ABSOLUTE);
      }
    }
    for (String task : subjects.tasks().keySet()) {
      metrics.put(task, both);
      metrics.put(task + ".acc_norm", both);
    }
    verdict.gate().require(metrics);
  }

  /**
   * What is evaluated.
   *
   * @param texts files
   * @param tasks files by the names of tasks
   * @param window tokens of a window
   * @param limit windows of a text and items of a task, empty for all
   */
  record Subjects(List<String> texts, Map<String, String> tasks, int window, OptionalInt limit) {
    private static final List<String> TAKEN = List.of("kl", "agreement", "perplexity", "nll");

    Subjects {
      if (texts.isEmpty() && tasks.isEmpty()) {
        throw new IllegalArgumentException("expected --text or --task, found neither");
      }
      if (new LinkedHashSet<>(texts).size() < texts.size()) {
        throw new IllegalArgumentException("--text: expected different files, found one twice");
      }
      for (String name : tasks.keySet()) {
        if (!name.matches("[A-Za-z0-9_-]+") || TAKEN.contains(name)) {
          throw new IllegalArgumentException(
              "--task: expected a name of letters, digits, _ and - that is no metric's, found '%s'"
                  .formatted(name));
        }
      }
      if (window < 2) {
        throw new IllegalArgumentException("--window must be 2 or more, found " + window);
      }
      if (limit.isPresent() && limit.getAsInt() < 1) {
        throw new IllegalArgumentException("--limit must be 1 or more, found " + limit.getAsInt());
      }
    }

    /** The first of {@code count} windows or items. */
    int limited(int count) {
      return Math.min(count, limit.orElse(count));
    }
  }

  /**
   * What becomes of the findings.
   *
   * @param json a file to write
   */
  record Verdict(Optional<Path> json, Gate gate) {
    Verdict {
      if (json.isPresent() && Files.isDirectory(json.get())) {
        throw new IllegalArgumentException(
            "--json: expected a file, found the folder " + json.get());
      }
      Optional<Path> folder = json.map(file -> file.toAbsolutePath().getParent());
      if (folder.isPresent() && !Files.isDirectory(folder.get())) {
        throw new IllegalArgumentException(
            "--json: expected a folder %s, found none".formatted(folder.get()));
      }
    }
  }
}
