package quamba.udf.tokenizer;

import java.util.OptionalInt;

/**
 * Text to token ids and back. Safe for concurrent use. After {@link #close}, which waits for calls
 * under way, an {@link IllegalStateException} meets whoever encodes, decodes or asks for a stream.
 */
public interface Tokenizer extends AutoCloseable {
  /**
   * Ids of {@code text}; nothing is cut off, and nothing is added in front or behind. Special
   * tokens written out in the text become their ids.
   *
   * @throws IllegalArgumentException if the text holds an unpaired surrogate, naming its index, or
   *     is so long that encoding it could exhaust the memory; the text itself is not in the message
   * @throws UnencodableTextException if a part of it is no token, and no token stands for such
   */
  int[] encode(String text);

  /**
   * Text of {@code ids}, special tokens written out. Bytes that are no character become U+FFFD; ids
   * that the tokenizer does not know become nothing.
   */
  String decode(int[] ids);

  /** Number of ids: the highest one that the tokenizer knows, and one more. */
  int vocabulary();

  /** The id of a token as it is written in the vocabulary, such as {@code <|endoftext|>}. */
  OptionalInt idOf(String token);

  /** Decodes a sequence id by id. */
  TextStream stream();

  /** Frees the tokenizer; closing it again does nothing. */
  @Override
  void close();

  /**
   * The text of a growing sequence of ids. All that it returned up to and with {@link #finish} is,
   * put together, what {@link #decode} says of all ids at once. Not safe for concurrent use.
   */
  interface TextStream {
    /**
     * Adds an id and returns the text that became certain: whole characters only, empty while a
     * character is unfinished. Takes the same time however many ids came before.
     */
    String append(int id);

    /**
     * What tokens of single bytes, if the tokenizer has such, would make together if the text ended
     * here; the next id may change it. Else empty, and so within a character, and for most ids of a
     * long run of such tokens, as an id would take the longer the longer the run is.
     */
    String pending();

    /**
     * What is left at the end: U+FFFD once if the last character is unfinished, what tokens of
     * single bytes make together if the tokenizer has such, else empty. The next id begins a new
     * text.
     */
    String finish();
  }
}
