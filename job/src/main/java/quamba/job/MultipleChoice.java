package quamba.job;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import quamba.job.Gate.Metric;
import quamba.udf.evaluation.Score;
import quamba.udf.evaluation.Text;

/**
 * A task that asks which of several texts goes on. The likeliest is taken (acc), or that with the
 * most log-probability a byte of UTF-8 (acc_norm) or a character (acc_norm_chars); the first of
 * equals.
 */
record MultipleChoice(String name, List<Item> items) implements Subject {
  /**
   * One question.
   *
   * @param label index of the right choice
   */
  record Item(List<Choice> choices, int label) {}

  /** One answer, and how long it is without the space before it. */
  record Choice(Text text, int bytes, int characters) {
    static Choice of(Text text, String answer) {
      return new Choice(
          text,
          answer.getBytes(StandardCharsets.UTF_8).length,
          answer.codePointCount(0, answer.length()));
    }
  }

  @Override
  public List<Text> texts() {
    return items.stream().flatMap(item -> item.choices().stream()).map(Choice::text).toList();
  }

  @Override
  public Findings findings(List<Score> scores) {
    SortedMap<String, Metric> metrics = new TreeMap<>();
    metrics.put("acc", metric(scores, choice -> 1));
    metrics.put("acc_norm", metric(scores, Choice::bytes));
    metrics.put("acc_norm_chars", metric(scores, Choice::characters));
    return new Findings(Findings.Kind.TASK, name, items.size(), metrics);
  }

  private Metric metric(List<Score> scores, ToDoubleFunction<Choice> length) {
    boolean compared = !Double.isNaN(scores.get(0).comparison().kl());
    return new Metric(
        name,
        accuracy(scores, score -> score.model().nll(), length),
        compared
            ? accuracy(scores, score -> score.comparison().reference().nll(), length)
            : Double.NaN);
  }

  private double accuracy(
      List<Score> scores, ToDoubleFunction<Score> nll, ToDoubleFunction<Choice> length) {
    int right = 0;
    int first = 0; // score of the item's first choice
    for (Item item : items) {
      int start = first;
      double[] values =
          IntStream.range(0, item.choices().size())
              .mapToDouble(
                  i ->
                      -nll.applyAsDouble(scores.get(start + i))
                          / length.applyAsDouble(item.choices().get(i)))
              .toArray();
      right += best(values) == item.label() ? 1 : 0;
      first += values.length;
    }
    return (double) right / items.size();
  }

  private static int best(double[] values) {
    int best = 0;
    for (int i = 1; i < values.length; i++) {
      best = values[i] > values[best] ? i : best;
    }
    return best;
  }
}
