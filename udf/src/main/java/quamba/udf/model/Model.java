package quamba.udf.model;

/**
 * What the engine knows of a model: slots, ids in, ids out; nothing of tensors. One thread drives
 * it.
 */
public interface Model extends AutoCloseable {
  /** Sequences that can be under way at once. */
  int slots();

  /** The most token ids that one step can carry; at least {@link #slots}. */
  int tokensPerStep();

  /** Ids run from 0 to here, exclusive. */
  int vocab();

  /**
   * Gives {@code slot} to a new sequence. Its state starts fresh when its first tokens come with
   * position 0.
   *
   * @param key the row's key, which with seed and position decides the random numbers
   */
  void start(int slot, Sampling sampling, long key);

  /** Runs the step's tokens through the model and fills {@link Step#sampled()}. */
  void step(Step step);

  @Override
  void close();
}
