package quamba.udf.tokenizer;

import java.util.OptionalInt;

/** Text to token ids and back. Safe for concurrent use. */
public interface Tokenizer extends AutoCloseable {
  /**
   * Ids of {@code text}; nothing is added in front or behind, special tokens written out in the
   * text become their ids.
   *
   * @throws IllegalArgumentException if the text holds an unpaired surrogate, naming its index
   */
  int[] encode(String text);

  /** Text of {@code ids}, special tokens written out; bytes that are no character become U+FFFD. */
  String decode(int[] ids);

  /** Number of ids: the highest one that the tokenizer knows, and one more. */
  int vocabulary();

  /** The id of a token as it is written in the vocabulary, such as {@code <|endoftext|>}. */
  OptionalInt idOf(String token);

  /** Decodes a sequence id by id. */
  TextStream stream();

  @Override
  void close();

  /** The text of a growing sequence of ids. Not safe for concurrent use. */
  interface TextStream {
    /**
     * Adds an id and returns the text that became certain: whole characters only, empty while a
     * character is unfinished.
     */
    String append(int id);

    /** What is left at the end: U+FFFD once if the last character is unfinished, else empty. */
    String finish();
  }
}
