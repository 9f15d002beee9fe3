package quamba.kernels;

/**
 * What sampling needs of each slot. Order of work:
 *
 * <ol>
 *   <li>repetition penalty on the logits of seen ids: positive ones divided, others multiplied;
 *   <li>if temperature is 0 the highest logit, and no more;
 *   <li>logits divided by temperature, softmax;
 *   <li>top-k keeps the k highest logits;
 *   <li>top-p keeps of these the fewest, highest first, whose probabilities reach p of their sum;
 *   <li>min-p keeps ids of at least min-p times the highest probability;
 *   <li>the first id, in id order, at which the summed probabilities of what is kept exceed u times
 *       their sum.
 * </ol>
 *
 * <p>Equal logits: the lower id wins, in greedy choice and in top-k and top-p. The uniform number u
 * is {@code ((w >>> 8) + 1/2) · 2^-24} of the first word w of Philox4x32-10 with key (seed low,
 * seed high) and counter (row key low, row key high, i, 0), where i is the index in the sequence of
 * the id to be chosen: the row's position plus its tokens in the batch.
 *
 * @param options (slots, 5) f32: temperature, top-k (0: all), top-p (1: all), min-p (0: none),
 *     repetition penalty (1: none)
 * @param keys (slots, 4) i32: seed low, seed high, row key low, row key high word
 * @param seen (slots, vocab) i8: 1 where the sequence contains the id; its width is the number of
 *     ids that may be sampled, further (padded) columns of the logits never are
 */
public record Sample(Tensor options, Tensor keys, Tensor seen) {
  public static final int TEMPERATURE = 0;
  public static final int TOP_K = 1;
  public static final int TOP_P = 2;
  public static final int MIN_P = 3;
  public static final int REPETITION_PENALTY = 4;
  public static final int OPTIONS = 5;
}
