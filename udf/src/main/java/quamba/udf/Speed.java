package quamba.udf;

import java.io.Serializable;
import org.apache.spark.util.AccumulatorV2;
import quamba.udf.engine.Engine;

/**
 * How fast the engines of a job were. Moments are the executors' clocks in milliseconds since 1970,
 * and 0 where there was no such moment.
 *
 * @param firstToken when the first token was there
 * @param lastFull when every slot of an engine was taken for the last time
 * @param full work while every slot was taken, summed over executors
 */
public record Speed(long firstToken, long lastFull, Full full) implements Serializable {
  private static final Speed NONE = new Speed(0, 0, new Full(0, 0, 0));

  /** Tokens, and the time they took. */
  public record Full(long nanos, long promptTokens, long generatedTokens) implements Serializable {
    /** Per second of an engine. */
    public double rate(long tokens) {
      return nanos == 0 ? 0 : tokens / (nanos / 1e9);
    }
  }

  static Speed of(long firstToken, Engine.Full full) {
    return new Speed(
        firstToken,
        full.endMillis(),
        new Full(full.nanos(), full.promptTokens(), full.generatedTokens()));
  }

  private Speed plus(Speed other) {
    boolean earlier = other.firstToken != 0 && other.firstToken < firstToken;
    return new Speed(
        firstToken == 0 || earlier ? other.firstToken : firstToken,
        Math.max(lastFull, other.lastFull),
        new Full(
            full.nanos + other.full.nanos,
            full.promptTokens + other.full.promptTokens,
            full.generatedTokens + other.full.generatedTokens));
  }

  /** Adds up what tasks report. */
  public static final class Total extends AccumulatorV2<Speed, Speed> {
    private static final long serialVersionUID = 1L;

    private Speed speed = NONE;

    @Override
    public boolean isZero() {
      return speed.equals(NONE);
    }

    @Override
    public Total copy() {
      Total copy = new Total();
      copy.speed = speed;
      return copy;
    }

    @Override
    public void reset() {
      speed = NONE;
    }

    @Override
    public void add(Speed more) {
      speed = speed.plus(more);
    }

    @Override
    public void merge(AccumulatorV2<Speed, Speed> other) {
      add(other.value());
    }

    @Override
    public Speed value() {
      return speed;
    }
  }
}
