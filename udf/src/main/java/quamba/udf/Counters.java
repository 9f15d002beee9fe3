package quamba.udf;

import java.io.Serializable;
import org.apache.spark.SparkContext;
import org.apache.spark.util.LongAccumulator;
import quamba.udf.engine.Completion;

/**
 * Named accumulators: what the stage page of Spark's UI and the progress line show. A task that is
 * run twice counts twice, so what a job reports at its end is counted in its output instead.
 *
 * @param ok rows whose generation ended by itself
 * @param truncated rows whose generation was ended by its limit of tokens
 * @param errors rows without a generation
 */
public record Counters(
    LongAccumulator ok,
    LongAccumulator truncated,
    LongAccumulator errors,
    LongAccumulator promptTokens,
    LongAccumulator generatedTokens)
    implements Serializable {
  /** New accumulators at zero. */
  public static Counters register(SparkContext spark) {
    return new Counters(
        spark.longAccumulator("rows ok"),
        spark.longAccumulator("rows truncated"),
        spark.longAccumulator("rows with an error"),
        spark.longAccumulator("prompt tokens"),
        spark.longAccumulator("generated tokens"));
  }

  void count(Completion<?> completion) {
    if (completion instanceof Completion.Generated<?> generated) {
      (generated.finish() == Completion.Finish.STOP ? ok : truncated).add(1);
      promptTokens.add(generated.promptTokens());
      generatedTokens.add(generated.generatedTokens());
    } else {
      errors.add(1);
    }
  }
}
