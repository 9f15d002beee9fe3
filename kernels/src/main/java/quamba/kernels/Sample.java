package quamba.kernels;

/**
 * What sampling needs of each slot. Order of work: repetition penalty on the logits of seen ids
 * (positive divided, negative multiplied), then greedy if temperature is 0, else logits divided by
 * temperature, softmax, top-k, top-p, min-p, and the inverse of the cumulated distribution in id
 * order at a uniform number from Philox4x32-10 with key = seed and counter = (row key, position).
 * Equal logits: the lower id wins, in greedy choice and in top-k and top-p.
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
