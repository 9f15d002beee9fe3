package quamba.udf.engine;

import java.util.OptionalInt;
import quamba.udf.tokenizer.Tokenizer;

/** Ids 0 to 25 are the letters a to z. */
final class LetterTokenizer implements Tokenizer {
  @Override
  public int[] encode(String text) {
    return text.chars().map(letter -> letter - 'a').toArray();
  }

  @Override
  public String decode(int[] ids) {
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append((char) ('a' + id));
    }
    return text.toString();
  }

  @Override
  public int vocabulary() {
    return ScriptedModel.VOCAB;
  }

  @Override
  public OptionalInt idOf(String token) {
    return token.length() == 1 ? OptionalInt.of(token.charAt(0) - 'a') : OptionalInt.empty();
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
