package quamba.udf.engine;

import java.io.Serializable;
import java.nio.IntBuffer;
import java.util.List;
import quamba.udf.model.Sampling;

/** One row's work, with whatever the caller wants back beside the result. */
public sealed interface Request<T> {
  /** The caller's own value, given back in the {@link Completion}. */
  T row();

  /**
   * A prompt to go on from.
   *
   * @param promptIds at least one; read from position to limit, not kept
   * @param key of the row; with seed and position it decides the random numbers
   */
  record Prompt<T>(T row, IntBuffer promptIds, long key, Sampling sampling, Limits limits)
      implements Request<T> {}

  /** A row that cannot run: passes through as a failed completion, without taking a slot. */
  record Rejected<T>(T row, RowError error) implements Request<T> {}

  /**
   * Where a generation ends, the end-of-text id apart.
   *
   * @param maxTokens ids to generate at most, at least 1
   * @param stop texts that end the generation and are cut off; none empty
   */
  record Limits(int maxTokens, List<String> stop) implements Serializable {
    public Limits {
      if (maxTokens < 1) {
        throw new IllegalArgumentException("max_tokens must be 1 or more, found " + maxTokens);
      }
      if (stop.contains("")) {
        throw new IllegalArgumentException("stop must not hold an empty text");
      }
      stop = List.copyOf(stop);
    }
  }
}
