package quamba.udf.model;

import java.io.Serializable;

/**
 * How the next id of a sequence is chosen; see {@link quamba.kernels.Sample} for the order of work.
 *
 * @param temperature 0 is greedy, and so is what has no reciprocal in a float: below 2^-128
 * @param topK the k likeliest ids, 0 for all
 * @param topP the smallest set of likeliest ids with this probability, 1 for all
 * @param minP ids with at least this share of the likeliest id's probability, 0 for all
 * @param repetitionPenalty divides positive and multiplies negative logits of ids already there, 1
 *     for none
 * @param seed random numbers are a function of (seed, row key, position)
 */
public record Sampling(
    float temperature, int topK, float topP, float minP, float repetitionPenalty, long seed)
    implements Serializable {
  /** The likeliest id, always. */
  public static final Sampling GREEDY = new Sampling(0, 0, 1, 0, 1, 0);

  /**
   * Checks ranges.
   *
   * @throws IllegalArgumentException naming the option, what it may be and what it was
   */
  public Sampling {
    require(temperature >= 0 && temperature <= 100, "temperature", "0 to 100", temperature);
    temperature = Float.isInfinite(1 / temperature) ? 0 : temperature;
    require(topK >= 0, "top_k", "0 (all) or more", topK);
    require(topP > 0 && topP <= 1, "top_p", "over 0 and at most 1", topP);
    require(minP >= 0 && minP <= 1, "min_p", "0 to 1", minP);
    require(
        repetitionPenalty > 0 && repetitionPenalty <= 100,
        "repetition_penalty",
        "over 0 and at most 100",
        repetitionPenalty);
  }

  private static void require(boolean holds, String option, String range, Number found) {
    if (!holds) {
      throw new IllegalArgumentException(option + " must be " + range + ", found " + found);
    }
  }
}
