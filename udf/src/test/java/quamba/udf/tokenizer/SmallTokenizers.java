package quamba.udf.tokenizer;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;

/** Tokenizers written for the tests. */
final class SmallTokenizers {
  /** A vocabulary for decoders that look at tokens: letters, word pieces, and some byte tokens. */
  static final String PIECES =
      """
      {"<unk>": 0, "a": 1, "\\u2581": 2, "\\u2581b": 3, "\\u2581\\u2581c": 4, "##d": 5, "e</w>": 6,
       "<0xE2>": 7, "<0x82>": 8, "<0xAC>": 9, "<0x41>": 10, "<0xF0>": 11, "?": 12, "n't": 13,
       "\\ud83d\\ude00": 14, " ": 15, "</w>": 16, "<0x": 17, "\\ufffd": 18}""";

  private SmallTokenizers() {}

  /**
   * A byte-level vocabulary: 0 is {@code <|endoftext|>}, 1 to 256 are the bytes in the order of
   * their values, nine merges follow (264 and 265 are parts of characters), then the added 266 (two
   * spaces) and 267 ({@code <é>}). It asks for truncation to 3 ids, padding to 16, and a token in
   * front.
   */
  static byte[] byteLevel() throws IOException {
    try (InputStream json = SmallTokenizers.class.getResourceAsStream("byte-level.json")) {
      return json.readAllBytes();
    }
  }

  /** {@link #PIECES} with a decoder. */
  static byte[] withDecoder(String decoder) {
    String model = "{\"type\": \"WordLevel\", \"unk_token\": \"<unk>\", \"vocab\": " + PIECES + "}";
    return json(model, decoder);
  }

  static byte[] json(String model, String decoder) {
    return """
    {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
     "normalizer": null, "pre_tokenizer": null, "post_processor": null,
     "decoder": %s, "model": %s}"""
        .formatted(decoder, model)
        .getBytes(StandardCharsets.UTF_8);
  }
}
