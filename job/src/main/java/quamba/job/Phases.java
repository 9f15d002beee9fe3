package quamba.job;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Seconds by phase of a job, in their order. */
final class Phases {
  private final Map<String, Double> seconds = new LinkedHashMap<>();
  private final long startMillis = System.currentTimeMillis();
  private long startNanos = System.nanoTime();

  /** Says that a phase is over and the next begins. */
  void end(String phase) {
    long now = System.nanoTime();
    seconds.merge(phase, (now - startNanos) / 1e9, Double::sum);
    startNanos = now;
  }

  /** When the first phase began, since 1970. */
  long startMillis() {
    return startMillis;
  }

  double seconds(String phase) {
    return seconds.getOrDefault(phase, 0.0);
  }

  @Override
  public String toString() {
    return seconds.entrySet().stream()
        .map(it -> String.format(Locale.ROOT, "%s %.1f", it.getKey(), it.getValue()))
        .collect(Collectors.joining(", "));
  }
}
