package quamba.udf.model;

/**
 * What a model is opened for; everything is allocated by it.
 *
 * @param slots sequences under way at once
 * @param tokensPerStep the most token ids in one step, at least {@code slots}
 * @param state format of what sequences carry from step to step
 */
public record Capacity(int slots, int tokensPerStep, StateFormat state) {
  public Capacity {
    if (slots < 1 || tokensPerStep < slots) {
      throw new IllegalArgumentException(
          "capacity: at least 1 slot and as many tokens a step as slots, found %d slots, %d tokens"
              .formatted(slots, tokensPerStep));
    }
  }

  /** With states in f32. */
  public Capacity(int slots, int tokensPerStep) {
    this(slots, tokensPerStep, StateFormat.F32);
  }
}
