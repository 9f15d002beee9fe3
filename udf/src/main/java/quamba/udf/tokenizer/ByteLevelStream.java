package quamba.udf.tokenizer;

import quamba.udf.tokenizer.Tokenizer.TextStream;

/** Text of a byte-level vocabulary: the bytes of the tokens one after another, read as UTF-8. */
final class ByteLevelStream implements TextStream {
  private final ByteLevelTokens tokens;
  private final Utf8Decoder decoder = new Utf8Decoder();

  ByteLevelStream(ByteLevelTokens tokens) {
    this.tokens = tokens;
  }

  @Override
  public String append(int id) {
    StringBuilder text = new StringBuilder();
    decoder.append(tokens.of(id), text);
    return text.toString();
  }

  @Override
  public String pending() {
    return ""; // bytes of a character that lacks others
  }

  @Override
  public String finish() {
    StringBuilder text = new StringBuilder();
    decoder.finish(text);
    return text.toString();
  }
}
