package quamba.udf.engine;

/**
 * What an engine did between the first step that had every slot taken and the last such step, which
 * is how fast it is while there is enough to do. Guarded by the engine's lock.
 */
final class Pace {
  private boolean begun;
  private Engine.Load first = new Engine.Load(0, 0, 0, 0);
  private Engine.Load last = first;
  private long firstNanos;
  private long lastNanos;
  private long lastMillis;

  /** A step that had every slot taken is over. */
  void full(long startNanos, Engine.Load before, Engine.Load after) {
    if (!begun) {
      begun = true;
      first = before;
      firstNanos = startNanos;
    }
    last = after;
    lastNanos = System.nanoTime();
    lastMillis = System.currentTimeMillis();
  }

  /** Nobody is there any more: the time until the next comes does not count. */
  void interrupt() {
    begun = false;
    first = last;
    firstNanos = lastNanos;
  }

  /** What was not taken yet. */
  Engine.Full take() {
    Engine.Full full =
        new Engine.Full(
            lastNanos - firstNanos,
            last.promptTokens() - first.promptTokens(),
            last.generatedTokens() - first.generatedTokens(),
            begun ? lastMillis : 0);
    first = last;
    firstNanos = lastNanos;
    return full;
  }
}
