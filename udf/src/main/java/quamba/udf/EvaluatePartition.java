package quamba.udf;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.FlatMapFunction;
import quamba.udf.evaluation.Score;
import quamba.udf.evaluation.Text;

/**
 * Texts in, their scores out in the same order: the function that Spark runs over each partition of
 * an evaluation. The tasks of an executor take turns with one evaluator, which uses all its cores.
 */
public final class EvaluatePartition implements FlatMapFunction<Iterator<Text>, Score> {
  private static final long serialVersionUID = 1L;

  private final EvaluationTask task;

  public EvaluatePartition(EvaluationTask task) {
    this.task = task;
  }

  @Override
  public Iterator<Score> call(Iterator<Text> partition) {
    if (!partition.hasNext()) {
      return Collections.emptyIterator();
    }
    List<Text> texts = new ArrayList<>();
    partition.forEachRemaining(texts::add);
    String device = TaskDevice.of(task.device(), TaskContext.get());
    try (ExecutorModels.Lease<OpenEvaluator> lease = OpenEvaluator.lease(task, device)) {
      return lease.model().evaluator().score(texts).iterator();
    }
  }
}
