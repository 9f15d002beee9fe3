package quamba.udf.evaluation;

import java.io.Serializable;

/**
 * Sums over the scored ids of a text.
 *
 * @param tokens how many ids
 * @param model how the model did
 * @param comparison with the reference
 */
public record Score(int tokens, Tally model, Comparison comparison) implements Serializable {
  /**
   * How one model did.
   *
   * @param nll negative logarithm of the ids' probability
   * @param hits ids that were the likeliest; of equally likely ones the lowest counts
   */
  public record Tally(double nll, int hits) implements Serializable {}

  /**
   * A model beside its reference.
   *
   * @param reference how the reference did
   * @param kl KL(reference ‖ model) over the vocabulary, summed over the positions
   * @param agreed positions where both have the same likeliest id
   */
  public record Comparison(Tally reference, double kl, int agreed) implements Serializable {
    /** Where there is no reference: no number at all. */
    public static final Comparison NONE = new Comparison(new Tally(Double.NaN, 0), Double.NaN, 0);
  }

  /** Whether the model would have written every id itself, choosing the likeliest each time. */
  public boolean exact() {
    return model.hits == tokens;
  }

  /** The same of the reference. */
  public boolean referenceExact() {
    return comparison.reference.hits == tokens;
  }
}
