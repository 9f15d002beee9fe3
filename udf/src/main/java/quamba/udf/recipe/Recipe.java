package quamba.udf.recipe;

import java.util.EnumSet;
import java.util.Set;
import quamba.udf.quantizer.Clustering;
import quamba.udf.quantizer.Scheme;

/**
 * How a model is to be quantized.
 *
 * @param scheme of the blocks
 * @param embedding how the embedding is stored
 * @param head how the matrix of the logits is stored
 * @param techniques that are used
 * @param budget share of the blocks that {@link Scheme#W4AX} may give activations in floats
 */
public record Recipe(
    Scheme scheme,
    TableFormat embedding,
    TableFormat head,
    Set<Technique> techniques,
    double budget) {
  /** What may be left out. */
  public enum Technique {
    /** Rounding weights by the inputs that they meet. */
    GPTQ,
    /** Hadamard rotation of the residual stream and of out_proj's input. */
    ROTATION,
    /** Scales of B and C for each state group; else one for all of B, one for all of C. */
    STATE_GROUPS,
    /** Scales of x for channels that were sorted and clustered; else one for all. */
    GROUPING,
    /** Scales for states in int8 that are given; else the checkpoint has none. */
    STATIC_STATE
  }

  /** Checks the budget. */
  public Recipe {
    if (!(budget >= 0 && budget <= 1)) {
      throw new IllegalArgumentException("--w4ax-budget must be 0 to 1, found " + budget);
    }
    techniques = Set.copyOf(techniques);
  }

  /** What suits a scheme best: all techniques but static states, dynamic ones being better. */
  public static Recipe standard(Scheme scheme) {
    TableFormat table = table(scheme);
    Set<Technique> techniques = EnumSet.complementOf(EnumSet.of(Technique.STATIC_STATE));
    return new Recipe(scheme, table, table, techniques, 0.25);
  }

  /** How a scheme stores embedding and head unless told otherwise. */
  public static TableFormat table(Scheme scheme) {
    return scheme == Scheme.W8A8 ? TableFormat.I8 : TableFormat.I4;
  }

  /** All that it says, in the same words for the same recipe. */
  public String identity() {
    return "%s, embedding %s, head %s, %s, budget %s"
        .formatted(scheme, embedding, head, techniques.stream().sorted().toList(), budget);
  }

  boolean uses(Technique technique) {
    return techniques.contains(technique);
  }

  /**
   * What the work is done with.
   *
   * @param clustering of heads
   * @param threads that round weights; the result does not depend on them
   */
  public record Means(Clustering clustering, int threads) {}
}
