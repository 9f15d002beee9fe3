package quamba.job;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import quamba.job.Gate.Metric;
import quamba.udf.evaluation.Score;
import quamba.udf.evaluation.Text;
import quamba.udf.tokenizer.Tokenizer;

/**
 * A text that a model is to foretell: tokenized whole, cut into windows that each begin from
 * nothing; all tokens of a window but the first are scored, what is left at the end is dropped.
 */
record TextWindows(String file, List<Text> texts) implements Subject {
  /**
   * Reads and cuts a file.
   *
   * @throws IllegalArgumentException if it is no text, or shorter than a window
   */
  static TextWindows read(String file, EvaluateConfig.Subjects subjects, Tokenizer tokenizer) {
    int[] ids = encode(file, tokenizer);
    int window = subjects.window();
    if (ids.length < window) {
      throw new IllegalArgumentException(
          "--text: %s: expected at least one window of %d tokens, found %d tokens"
              .formatted(file, window, ids.length));
    }
    List<Text> windows = new ArrayList<>();
    for (int i = 0; i < subjects.limited(ids.length / window); i++) {
      windows.add(new Text(Arrays.copyOfRange(ids, i * window, (i + 1) * window), 1));
    }
    return new TextWindows(file, List.copyOf(windows));
  }

  private static int[] encode(String file, Tokenizer tokenizer) {
    String text = Utf8File.read("--text", file);
    try {
      return tokenizer.encode(text);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("--text: %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  @Override
  public Findings findings(List<Score> scores) {
    long tokens = 0;
    double nll = 0;
    double referenceNll = 0;
    double kl = 0;
    long agreed = 0;
    for (Score score : scores) { // in the order of windows: sums of doubles depend on it
      tokens += score.tokens();
      nll += score.model().nll();
      referenceNll += score.comparison().reference().nll();
      kl += score.comparison().kl();
      agreed += score.comparison().agreed();
    }
    SortedMap<String, Metric> metrics = new TreeMap<>();
    metrics.put(
        "perplexity", new Metric(file, Math.exp(nll / tokens), Math.exp(referenceNll / tokens)));
    metrics.put("nll", new Metric(file, nll, referenceNll));
    if (!Double.isNaN(referenceNll)) {
      metrics.put("kl", new Metric(file, kl / tokens, Double.NaN));
      metrics.put("agreement", new Metric(file, (double) agreed / tokens, Double.NaN));
    }
    return new Findings(Findings.Kind.TEXT, file, tokens, metrics);
  }
}
