package quamba.udf.engine;

/** What became of a {@link Request}. */
public sealed interface Completion<T> {
  /** The request's row. */
  T row();

  /**
   * A generation.
   *
   * @param text without the stop text or the end-of-text token that ended it
   * @param promptTokens ids of the prompt
   * @param generatedTokens ids generated, the one that ended it included
   * @param finish why it ended
   * @param batchMillis from taking a slot to leaving it
   */
  record Generated<T>(
      T row, String text, int promptTokens, int generatedTokens, Finish finish, long batchMillis)
      implements Completion<T> {}

  /** No generation. */
  record Failed<T>(T row, RowError error) implements Completion<T> {}

  /** Why a generation ended. */
  enum Finish {
    /** End of text, or a stop text. */
    STOP,
    /** The limit of tokens. */
    LENGTH
  }
}
