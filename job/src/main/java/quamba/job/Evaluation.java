package quamba.job;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.api.java.JavaSparkContext;
import quamba.udf.EvaluatePartition;
import quamba.udf.EvaluationTask;
import quamba.udf.evaluation.Score;
import quamba.udf.evaluation.Text;

/** Scores subjects over the cluster. */
record Evaluation(JavaSparkContext spark, EvaluationTask task) {
  /** So that an executor that is faster than others, or begins later, gets its share. */
  private static final int PARTITIONS_A_CORE = 4;

  /** What is found of each subject, in their order. */
  List<Findings> of(List<Subject> subjects) {
    List<Text> texts = subjects.stream().flatMap(it -> it.texts().stream()).toList();
    List<Score> scores =
        scores(texts, Math.min(texts.size(), PARTITIONS_A_CORE * spark.defaultParallelism()));
    List<Findings> findings = new ArrayList<>();
    int first = 0;
    for (Subject subject : subjects) {
      int end = first + subject.texts().size();
      findings.add(subject.findings(scores.subList(first, end)));
      first = end;
    }
    return findings;
  }

  /** A score a text, in their order, whatever the partitions. */
  List<Score> scores(List<Text> texts, int partitions) {
    return spark
        .parallelize(texts, partitions)
        .mapPartitions(new EvaluatePartition(task))
        .collect();
  }
}
