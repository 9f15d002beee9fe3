package quamba.udf.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The bytes of each token of a byte-level vocabulary. Such a vocabulary writes every byte as one
 * printable character (GPT-2's table); a token with any other character, which only an added one
 * has, stands for its own UTF-8.
 */
final class ByteLevelTokens {
  private static final byte[] NOTHING = {};

  // The bytes that GPT-2's table writes as themselves are in three ranges; it writes the others,
  // in their order, as U+0100 and onwards.
  private static final char[] LETTERS = letters();

  private final byte[][] bytes; // (vocab)

  ByteLevelTokens(TokenizerJson json) {
    int[] byteOf = new int[2 * LETTERS.length];
    Arrays.fill(byteOf, -1);
    for (int value = 0; value < LETTERS.length; value++) {
      byteOf[LETTERS[value]] = value;
    }
    bytes = new byte[json.vocabulary()][];
    Arrays.fill(bytes, NOTHING);
    json.tokens().forEach((id, token) -> bytes[id] = bytes(token, byteOf));
  }

  /** Bytes of a token; none for an id that the vocabulary does not have. */
  byte[] of(int id) {
    return id >= 0 && id < bytes.length ? bytes[id] : NOTHING;
  }

  private static byte[] bytes(String token, int[] byteOf) {
    byte[] mapped = new byte[token.length()];
    for (int i = 0; i < mapped.length; i++) {
      char letter = token.charAt(i);
      if (letter >= byteOf.length || byteOf[letter] < 0) {
        return token.getBytes(StandardCharsets.UTF_8);
      }
      mapped[i] = (byte) byteOf[letter];
    }
    return mapped;
  }

  private static char[] letters() {
    char[] letters = new char[256];
    char next = 256;
    for (char value = 0; value < 256; value++) {
      boolean printable =
          (value >= '!' && value <= '~') || (value >= 0xA1 && value <= 0xAC) || value >= 0xAE;
      letters[value] = printable ? value : next++;
    }
    return letters;
  }
}
