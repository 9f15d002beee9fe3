package quamba.udf.evaluation;

import java.nio.FloatBuffer;

/** What a model expects next: log-probabilities in double, from logits in float. */
public final class Distribution {
  private final float[] logits; // (vocab)
  private double logSum;
  private int likeliest;

  /**
   * Of as many ids as exist.
   *
   * @param vocab ids; columns beyond are padding
   */
  public Distribution(int vocab) {
    logits = new float[vocab];
  }

  /** Takes the logits that begin at {@code offset}. */
  public void read(FloatBuffer source, int offset) {
    source.get(offset, logits);
    likeliest = 0;
    for (int id = 1; id < logits.length; id++) {
      if (logits[id] > logits[likeliest]) {
        likeliest = id;
      }
    }
    double most = logits[likeliest];
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - most);
    }
    logSum = most + Math.log(sum);
  }

  /** The likeliest id; the lowest of equally likely ones. */
  int likeliest() {
    return likeliest;
  }

  /** Natural logarithm. */
  public double logProbability(int id) {
    return logits[id] - logSum;
  }

  /** KL(this ‖ other) in natural logarithms. */
  public double divergence(Distribution other) {
    double sum = 0;
    for (int id = 0; id < logits.length; id++) {
      double mine = logProbability(id);
      sum += Math.exp(mine) * (mine - other.logProbability(id));
    }
    return sum;
  }
}
