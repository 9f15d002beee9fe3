package quamba.job;

import java.util.SortedMap;
import quamba.job.Gate.Metric;

/**
 * What was found of one text or task.
 *
 * @param name the file of a text, the name of a task
 * @param count tokens of a text, items of a task
 * @param metrics by the keys of JSON
 */
record Findings(Kind kind, String name, long count, SortedMap<String, Metric> metrics) {
  /** What a subject is. */
  enum Kind {
    TEXT("text", "tokens"),
    TASK("task", "n");

    private final String key;
    private final String counted;

    Kind(String key, String counted) {
      this.key = key;
      this.counted = counted;
    }

    /** Its key in JSON. */
    String key() {
      return key;
    }

    /** What a count of it is called in JSON. */
    String counted() {
      return counted;
    }
  }

  /** The name by which a gate calls a metric of this. */
  String gateName(String metric) {
    if (kind == Kind.TEXT) {
      return metric;
    }
    return metric.equals("acc") ? name : name + "." + metric;
  }
}
