package quamba.udf.engine;

/**
 * Why a row has no generation. Says nothing of the prompt's text.
 *
 * @param errorClass a word that programs can branch on, such as {@code null-prompt}
 * @param message for people
 * @param retryable whether another run may succeed
 */
public record RowError(String errorClass, String message, boolean retryable) {
  static RowError outOfMemory(String message) {
    return new RowError("out-of-memory", message, true);
  }
}
