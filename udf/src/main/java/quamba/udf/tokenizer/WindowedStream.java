package quamba.udf.tokenizer;

import java.util.Arrays;
import java.util.Map;
import java.util.function.Function;
import quamba.udf.tokenizer.Tokenizer.TextStream;

/**
 * Text of decoders that look at tokens, not at bytes (SentencePiece, WordPiece). A token's text
 * depends on the one before it at most, so it is what decoding both adds to decoding the first.
 * Tokens that stand for a byte, such as {@code <0xE2>}, are kept until another one follows: one
 * that makes the run no UTF-8 changes the text of the whole run.
 */
final class WindowedStream implements TextStream {
  /** A run is decoded again when it is longer by one in so many. */
  private static final int SPARED = 64;

  private final Map<Integer, String> tokens;
  private final Function<int[], String> decode;

  private int[] window = new int[8]; // what is decoded, the id before the kept ones at its front
  private int kept; // ids in the window
  private int before; // how many of them were emitted: 0 or 1
  private int due; // ids in the window before which a run is not decoded again
  private int lacking; // bytes of the character that a run is in, if it is UTF-8

  WindowedStream(Map<Integer, String> tokens, Function<int[], String> decode) {
    this.tokens = tokens;
    this.decode = decode;
  }

  @Override
  public String append(int id) {
    String token = tokens.get(id);
    if (token == null) {
      return "";
    }
    if (kept == window.length) {
      window = Arrays.copyOf(window, 2 * kept);
    }
    window[kept++] = id;
    if (isByte(token)) {
      lacking = lacking(token);
      return "";
    }
    String text = added();
    // A token without text is no context: what takes a space off the front would look behind it.
    if (before == 0 || !token.isEmpty()) {
      window[0] = id;
    }
    before = 1;
    kept = 1;
    due = 0;
    lacking = 0;
    return text;
  }

  @Override
  public String pending() {
    if (kept < due || lacking > 0) {
      return "";
    }
    due = kept + kept / SPARED;
    return added();
  }

  @Override
  public String finish() {
    String text = added();
    before = 0;
    kept = 0;
    due = 0;
    lacking = 0;
    return text;
  }

  private String added() {
    if (kept == before) {
      return "";
    }
    String context = before == 0 ? "" : decode.apply(Arrays.copyOf(window, before));
    return decode.apply(Arrays.copyOf(window, kept)).substring(context.length());
  }

  private static boolean isByte(String token) {
    return token.length() == 6 && token.startsWith("<0x") && token.endsWith(">");
  }

  /** With one more byte of a run. */
  private int lacking(String token) {
    int value = Character.digit(token.charAt(3), 16) * 16 + Character.digit(token.charAt(4), 16);
    if (value < 0x80) {
      return 0;
    }
    if (value < 0xC0) {
      return Math.max(0, lacking - 1);
    }
    return value < 0xE0 ? 1 : value < 0xF0 ? 2 : 3;
  }
}
