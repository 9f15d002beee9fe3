package quamba.udf.evaluation;

import java.io.Serializable;

/**
 * Token ids, the last of which are scored: each by what the model expects after those before it,
 * from a zero state on.
 */
public final class Text implements Serializable {
  private static final long serialVersionUID = 1L;

  private final int[] ids;
  private final int from;

  /**
   * Keeps the ids, which nobody changes from here on.
   *
   * @param from index of the first id that is scored, at least 1
   * @throws IllegalArgumentException if there is nothing to score, or nothing before it
   */
  public Text(int[] ids, int from) {
    if (from < 1 || from >= ids.length) {
      throw new IllegalArgumentException(
          "expected ids to score, and ids before them; found %d of %d ids before them"
              .formatted(from, ids.length));
    }
    this.ids = ids;
    this.from = from;
  }

  /** All ids; not to be changed. */
  int[] ids() {
    return ids;
  }

  /** Index of the first id that is scored. */
  int from() {
    return from;
  }

  /** Ids that are scored. */
  public int scored() {
    return ids.length - from;
  }
}
