package quamba.job;

import java.io.PrintWriter;
import java.util.HashMap;
import java.util.Map;
import java.util.Timer;
import java.util.TimerTask;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.AccumulableInfo;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorMetricsUpdate;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.util.LongAccumulator;
import quamba.udf.Counters;
import scala.jdk.javaapi.CollectionConverters;

/**
 * A line every few seconds: rows, tokens a second, time to go. Spark adds a task to the
 * accumulators when it ends; what tasks under way have counted comes with their executors'
 * heartbeats.
 */
final class Progress extends SparkListener implements AutoCloseable {
  private static final long PERIOD_MILLIS = 5_000;

  private final PrintWriter err;
  private final SparkContext spark;
  private final Counters counters;
  private final long rows;
  private final long startNanos = System.nanoTime();
  private final Timer clock = new Timer("quamba-progress", true);
  private final Map<Long, Map<Long, Long>> underWay = new HashMap<>(); // task to accumulator

  /** Begins to print. */
  Progress(PrintWriter err, SparkContext spark, Counters counters, long rows) {
    this.err = err;
    this.spark = spark;
    this.counters = counters;
    this.rows = rows;
    spark.addSparkListener(this);
    clock.schedule(
        new TimerTask() {
          @Override
          public void run() {
            print();
          }
        },
        PERIOD_MILLIS,
        PERIOD_MILLIS);
  }

  @Override
  public synchronized void onExecutorMetricsUpdate(SparkListenerExecutorMetricsUpdate update) {
    for (var task : CollectionConverters.asJava(update.accumUpdates())) {
      Map<Long, Long> counts = underWay.computeIfAbsent((Long) task._1(), id -> new HashMap<>());
      for (AccumulableInfo info : CollectionConverters.asJava(task._4())) {
        if (info.update().isDefined() && info.update().get() instanceof Long count) {
          counts.put(info.id(), count);
        }
      }
    }
  }

  @Override
  public synchronized void onTaskEnd(SparkListenerTaskEnd end) {
    underWay.remove(end.taskInfo().taskId());
  }

  private synchronized long count(LongAccumulator accumulator) {
    return accumulator.value()
        + underWay.values().stream()
            .mapToLong(counts -> counts.getOrDefault(accumulator.id(), 0L))
            .sum();
  }

  private void print() {
    err.println(line());
    err.flush();
  }

  private String line() {
    double seconds = (System.nanoTime() - startNanos) / 1e9;
    long errors = count(counters.rows().errors());
    long done = count(counters.rows().ok()) + count(counters.rows().truncated()) + errors;
    long tokens = count(counters.promptTokens()) + count(counters.generatedTokens());
    String eta =
        done == 0 ? "unknown" : "%.0f s".formatted(seconds / done * Math.max(0, rows - done));
    return "quamba: %d of %d rows, %d errors, %.0f tokens/s, ETA %s"
        .formatted(done, rows, errors, tokens / seconds, eta);
  }

  @Override
  public void close() {
    clock.cancel();
    spark.removeSparkListener(this);
  }
}
