package quamba.udf.tokenizer;

import java.util.OptionalInt;

/** Ids are neighbouring code points, for tests. */
public final class CharacterTokenizer implements Tokenizer {
  private final int first;
  private final int vocabulary;

  /**
   * One of so many ids.
   *
   * @param first code point of id 0; none of the others is a surrogate
   */
  public CharacterTokenizer(int first, int vocabulary) {
    this.first = first;
    this.vocabulary = vocabulary;
  }

  @Override
  public int[] encode(String text) {
    return text.codePoints().map(point -> point - first).toArray();
  }

  @Override
  public String decode(int[] ids) {
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.appendCodePoint(first + id);
    }
    return text.toString();
  }

  @Override
  public int vocabulary() {
    return vocabulary;
  }

  @Override
  public OptionalInt idOf(String token) {
    int[] ids = encode(token);
    return ids.length == 1 ? OptionalInt.of(ids[0]) : OptionalInt.empty();
  }

  @Override
  public TextStream stream() {
    return new TextStream() {
      @Override
      public String append(int id) {
        return decode(new int[] {id});
      }

      @Override
      public String pending() {
        return "";
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
