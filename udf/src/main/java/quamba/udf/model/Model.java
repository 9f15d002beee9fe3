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

  /**
   * Begins to run the step's tokens through the model, behind the step begun before; may return
   * before it is done. That one may still be under way, and this one's ids may be those that it
   * chooses, as {@link Step#chosen} names them; but no third. The step is read now, and what it is
   * filled from may be reused.
   */
  void begin(Step step);

  /** Whether the step that was begun first, of those under way, is done. */
  boolean isDone();

  /**
   * Waits for the step that was begun first, of those under way, and fills its {@link
   * Step#sampled()}.
   */
  void await(Step step);

  /** Runs the step's tokens through the model and fills {@link Step#sampled()}. */
  default void step(Step step) {
    begin(step);
    await(step);
  }

  @Override
  void close();
}
