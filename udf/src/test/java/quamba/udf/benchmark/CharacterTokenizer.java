package quamba.udf.benchmark;

import java.util.OptionalInt;
import quamba.udf.tokenizer.Tokenizer;

/** An id is a code point, counted from {@link #FIRST} on. */
final class CharacterTokenizer implements Tokenizer {
  /** Behind all surrogates. */
  private static final int FIRST = 0x10000;

  private final int vocabulary;

  CharacterTokenizer(int vocabulary) {
    this.vocabulary = vocabulary;
  }

  @Override
  public int[] encode(String text) {
    return text.codePoints().map(point -> point - FIRST).toArray();
  }

  @Override
  public String decode(int[] ids) {
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.appendCodePoint(FIRST + id);
    }
    return text.toString();
  }

  @Override
  public int vocabulary() {
    return vocabulary;
  }

  @Override
  public OptionalInt idOf(String token) {
    return OptionalInt.empty();
  }

  @Override
  public TextStream stream() {
    return new TextStream() {
      @Override
      public String append(int id) {
        return decode(new int[] {id});
      }

      @Override
      public String finish() {
        return "";
      }
    };
  }

  @Override
  public void close() {}
}
