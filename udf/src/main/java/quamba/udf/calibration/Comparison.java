package quamba.udf.calibration;

import java.io.Serializable;

/**
 * Predictions of a model beside those of a reference, in sums over tokens; natural logarithms.
 *
 * @param tokens that were predicted
 * @param referenceLoss −log p of what came, by the reference
 * @param loss the same by the model
 * @param divergence Kullback–Leibler divergence of the model from the reference
 */
public record Comparison(long tokens, double referenceLoss, double loss, double divergence)
    implements Serializable {
  /** Of nothing. */
  public static final Comparison NONE = new Comparison(0, 0, 0, 0);

  /** Both together. */
  public Comparison add(Comparison other) {
    return new Comparison(
        tokens + other.tokens,
        referenceLoss + other.referenceLoss,
        loss + other.loss,
        divergence + other.divergence);
  }

  /** Perplexity of the reference. */
  public double referencePerplexity() {
    return Math.exp(referenceLoss / tokens);
  }

  /** Perplexity of the model. */
  public double perplexity() {
    return Math.exp(loss / tokens);
  }

  /** Divergence a token. */
  public double divergencePerToken() {
    return divergence / tokens;
  }
}
