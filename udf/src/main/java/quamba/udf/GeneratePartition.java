package quamba.udf;

import java.util.Collections;
import java.util.Iterator;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.TaskCompletionListener;
import quamba.udf.engine.Completion;
import quamba.udf.engine.Completions;
import quamba.udf.engine.Engine;
import quamba.udf.engine.RowError;

/**
 * Rows in, rows out: the function that Spark runs over each partition. Its rows end in a {@link
 * SourceRow}; behind that it adds generation, error and meta. All tasks of an executor feed one
 * engine; rows leave in finishing order.
 */
public final class GeneratePartition implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1L;

  /** The error column, null where there is a generation. */
  public static final StructType ERROR =
      new StructType()
          .add("class", DataTypes.StringType)
          .add("message", DataTypes.StringType)
          .add("retryable", DataTypes.BooleanType);

  /** The meta column. */
  public static final StructType META =
      new StructType()
          .add("prompt_tokens", DataTypes.IntegerType)
          .add("generated_tokens", DataTypes.IntegerType)
          .add("finish_reason", DataTypes.StringType)
          .add("batch_ms", DataTypes.LongType)
          .add("model", DataTypes.StringType)
          .add("seed", DataTypes.LongType);

  private final PartitionTask task;
  private final Counters counters;

  public GeneratePartition(PartitionTask task, Counters counters) {
    this.task = task;
    this.counters = counters;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    if (!rows.hasNext()) {
      return Collections.emptyIterator();
    }
    TaskContext context = TaskContext.get();
    String device = TaskDevice.of(task.placement().device(), context);
    ExecutorModels.Lease<OpenModel> lease =
        OpenModel.lease(task.weights(), device, task.placement());
    // Spark runs these last first, also when the task fails or is killed.
    context.addTaskCompletionListener((TaskCompletionListener) over -> lease.close());
    lease.openMillis().ifPresent(counters.openMillis()::add);
    RowRequests requests = new RowRequests(rows, task, lease.model(), context);
    Completions<RowRequests.Pending> completions = lease.model().engine().complete(requests);
    context.addTaskCompletionListener(
        (TaskCompletionListener)
            over -> {
              Engine.Full full = lease.model().engine().takeFull();
              counters.speed().add(Speed.of(completions.firstTokenMillis(), full));
              completions.close();
            });
    return new Results(requests, completions);
  }

  private final class Results implements Iterator<Row> {
    private final RowRequests requests;
    private final Completions<RowRequests.Pending> completions;
    private long returned;

    Results(RowRequests requests, Completions<RowRequests.Pending> completions) {
      this.requests = requests;
      this.completions = completions;
    }

    @Override
    public boolean hasNext() {
      if (completions.hasNext()) {
        return true;
      }
      if (returned != requests.pulled()) {
        throw new IllegalStateException(
            "rows lost in a partition: %d in, %d out".formatted(requests.pulled(), returned));
      }
      return false;
    }

    @Override
    public Row next() {
      Completion<RowRequests.Pending> completion = completions.next();
      returned++;
      counters.count(completion);
      return row(completion);
    }
  }

  private Row row(Completion<RowRequests.Pending> completion) {
    RowRequests.Pending pending = completion.row();
    if (completion instanceof Completion.Generated<RowRequests.Pending> it) {
      Row meta =
          RowFactory.create(
              it.promptTokens(),
              it.generatedTokens(),
              it.finish() == Completion.Finish.STOP ? "stop" : "length",
              it.batchMillis(),
              task.weights().label(),
              pending.seed());
      return extended(pending.row(), it.text(), null, meta);
    }
    RowError error = ((Completion.Failed<RowRequests.Pending>) completion).error();
    Integer promptTokens =
        pending.promptTokens().isPresent() ? pending.promptTokens().getAsInt() : null;
    return extended(
        pending.row(),
        null,
        RowFactory.create(error.errorClass(), error.message(), error.retryable()),
        RowFactory.create(promptTokens, 0, "error", null, task.weights().label(), pending.seed()));
  }

  private static Row extended(Row row, String generation, Row error, Row meta) {
    Object[] values = new Object[row.length() + 3];
    for (int i = 0; i < row.length(); i++) {
      values[i] = row.get(i);
    }
    values[row.length()] = generation;
    values[row.length() + 1] = error;
    values[row.length() + 2] = meta;
    return RowFactory.create(values);
  }
}
