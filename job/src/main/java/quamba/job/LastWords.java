package quamba.job;

import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import quamba.job.Gate.Metric;
import quamba.udf.evaluation.Score;
import quamba.udf.evaluation.Text;

/** A task that asks for the last word of texts, as LAMBADA does; it is right to the last token. */
record LastWords(String name, List<Text> texts) implements Subject {
  @Override
  public Findings findings(List<Score> scores) {
    double nll = 0;
    double referenceNll = 0;
    int right = 0;
    int referenceRight = 0;
    for (Score score : scores) {
      nll += score.model().nll();
      referenceNll += score.comparison().reference().nll();
      right += score.exact() ? 1 : 0;
      referenceRight += score.referenceExact() ? 1 : 0;
    }
    int n = scores.size();
    boolean compared = !Double.isNaN(referenceNll);
    SortedMap<String, Metric> metrics = new TreeMap<>();
    metrics.put(
        "acc",
        new Metric(name, (double) right / n, compared ? (double) referenceRight / n : Double.NaN));
    metrics.put("perplexity", new Metric(name, Math.exp(nll / n), Math.exp(referenceNll / n)));
    return new Findings(Findings.Kind.TASK, name, n, metrics);
  }
}
