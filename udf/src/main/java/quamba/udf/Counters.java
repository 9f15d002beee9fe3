package quamba.udf;

import java.io.Serializable;
import org.apache.spark.SparkContext;
import org.apache.spark.util.LongAccumulator;
import quamba.udf.engine.Completion;

/**
 * Named accumulators: what the stage page of Spark's UI and the progress line show. A task that is
 * run twice counts twice, so what a job reports at its end is counted in its output instead.
 *
 * @param openMillis one count for each time that an executor opened a model
 * @param speed how fast engines were
 */
public record Counters(
    Rows rows,
    LongAccumulator promptTokens,
    LongAccumulator generatedTokens,
    LongAccumulator openMillis,
    Speed.Total speed)
    implements Serializable {
  /**
   * Rows by what became of them.
   *
   * @param ok generations that ended by themselves
   * @param truncated generations that were ended by their limit of tokens
   */
  public record Rows(LongAccumulator ok, LongAccumulator truncated, LongAccumulator errors)
      implements Serializable {}

  /** New accumulators at zero. */
  public static Counters register(SparkContext spark) {
    Speed.Total speed = new Speed.Total();
    spark.register(speed, "speed");
    return new Counters(
        new Rows(
            spark.longAccumulator("rows ok"),
            spark.longAccumulator("rows truncated"),
            spark.longAccumulator("rows with an error")),
        spark.longAccumulator("prompt tokens"),
        spark.longAccumulator("generated tokens"),
        spark.longAccumulator("milliseconds to open the model"),
        speed);
  }

  void count(Completion<?> completion) {
    if (completion instanceof Completion.Generated<?> generated) {
      boolean ended = generated.finish() == Completion.Finish.STOP;
      (ended ? rows.ok() : rows.truncated()).add(1);
      promptTokens.add(generated.promptTokens());
      generatedTokens.add(generated.generatedTokens());
    } else {
      rows.errors().add(1);
    }
  }
}
