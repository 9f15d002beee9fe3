package quamba.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.count_if;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import quamba.udf.Counters;
import quamba.udf.GeneratePartition;
import quamba.udf.Speed;

/**
 * What is in the files that were written.
 *
 * @param promptTokens of the rows that ran
 */
record Outcome(Rows rows, long promptTokens, long generatedTokens) {
  /**
   * Rows by what became of them.
   *
   * @param truncated generations that were ended by their limit of tokens
   */
  record Rows(long ok, long truncated, long errors) {
    long total() {
      return ok + truncated + errors;
    }

    double errorFraction() {
      return total() == 0 ? 0 : (double) errors / total();
    }
  }

  /** Counts the rows of an output, reading one column of it. */
  static Outcome read(SparkSession spark, String path, JobConfig.Output output) {
    String meta = "meta";
    StructType schema = new StructType().add(output.columns().get(2), GeneratePartition.META);
    Dataset<Row> rows =
        spark.read().schema(schema).format(output.format().toString()).load(path).toDF(meta);
    Column reason = col(meta).getField("finish_reason");
    Column ran = reason.isin("stop", "length");
    Row counts =
        rows.agg(
                count_if(reason.equalTo("stop")),
                count_if(reason.equalTo("length")),
                count(lit(1)).minus(count_if(ran)),
                sum(when(ran, col(meta).getField("prompt_tokens"))),
                sum(when(ran, col(meta).getField("generated_tokens"))))
            .head();
    return new Outcome(
        new Rows(counts.getLong(0), counts.getLong(1), counts.getLong(2)),
        counts.isNullAt(3) ? 0 : counts.getLong(3),
        counts.isNullAt(4) ? 0 : counts.getLong(4));
  }

  /** For the end of a job, whose phases are over. */
  List<String> lines(Phases phases, Counters counters) {
    double opened = Math.max(1, counters.openMillis().count()); // executors, as a rule
    double seconds = phases.seconds("generate");
    List<String> lines = new ArrayList<>();
    lines.add(
        "rows: %d ok, %d truncated, %d errors"
            .formatted(rows.ok(), rows.truncated(), rows.errors()));
    lines.add(
        "tokens: %d prompt, %d generated, %.1f a second"
            .formatted(promptTokens, generatedTokens, (promptTokens + generatedTokens) / seconds));
    lines.add(
        "seconds: %s (of them %.1f to open the model)"
            .formatted(phases, counters.openMillis().sum() / 1e3 / opened));
    Speed speed = counters.speed().value();
    if (speed.firstToken() != 0) {
      lines.add(speedLine(phases.startMillis(), System.currentTimeMillis(), speed));
    }
    return lines;
  }

  /** The tail holds the last rows, the writing of what is left, and the count of the output. */
  static String speedLine(long start, long end, Speed speed) {
    Speed.Full full = speed.full();
    String first =
        String.format(Locale.ROOT, "speed: first token %.1f s", (speed.firstToken() - start) / 1e3);
    if (speed.lastFull() == 0) {
      return first + ", slots never all taken";
    }
    return first
        + String.format(
            Locale.ROOT,
            ", slots all taken %.1f s: %.1f prompt and %.1f generated tokens a second of an engine,"
                + " tail %.1f s",
            full.nanos() / 1e9,
            full.rate(full.promptTokens()),
            full.rate(full.generatedTokens()),
            (end - speed.lastFull()) / 1e3);
  }
}
