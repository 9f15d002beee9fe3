package quamba.udf.evaluation;

import quamba.udf.evaluation.Score.Comparison;
import quamba.udf.evaluation.Score.Tally;

/** What is found at every scored id of one text; threads fill it at different indices. */
final class Positions {
  private final Text text;
  private final double[] nll; // (scored), as all of these
  private final boolean[] hit;
  private final double[] referenceNll;
  private final boolean[] referenceHit;
  private final double[] kl;
  private final boolean[] agreed;

  Positions(Text text) {
    this.text = text;
    int scored = text.scored();
    nll = new double[scored];
    hit = new boolean[scored];
    referenceNll = new double[scored];
    referenceHit = new boolean[scored];
    kl = new double[scored];
    agreed = new boolean[scored];
  }

  /** Ids that the model must see: nothing is asked after the last. */
  int seen() {
    return text.ids().length - 1;
  }

  int[] ids() {
    return text.ids();
  }

  /** Whether the id after the one at {@code index} is scored. */
  boolean scoresAfter(int index) {
    return index + 1 >= text.from();
  }

  /** The model's expectation after the id at {@code index}. */
  void add(int index, Distribution model) {
    int at = index + 1 - text.from();
    int id = text.ids()[index + 1];
    nll[at] = -model.logProbability(id);
    hit[at] = model.likeliest() == id;
  }

  /** The reference's expectation at the same place, after {@link #add}. */
  void compare(int index, Distribution model, Distribution reference) {
    int at = index + 1 - text.from();
    int id = text.ids()[index + 1];
    referenceNll[at] = -reference.logProbability(id);
    referenceHit[at] = reference.likeliest() == id;
    kl[at] = reference.divergence(model);
    agreed[at] = reference.likeliest() == model.likeliest();
  }

  Score score() {
    return new Score(text.scored(), new Tally(sum(nll), count(hit)), Comparison.NONE);
  }

  Score comparedScore() {
    Tally reference = new Tally(sum(referenceNll), count(referenceHit));
    return new Score(
        text.scored(),
        new Tally(sum(nll), count(hit)),
        new Comparison(reference, sum(kl), count(agreed)));
  }

  private static double sum(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    return sum;
  }

  private static int count(boolean[] values) {
    int count = 0;
    for (boolean value : values) {
      count += value ? 1 : 0;
    }
    return count;
  }
}
