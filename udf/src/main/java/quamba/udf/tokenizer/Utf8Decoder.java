package quamba.udf.tokenizer;

/**
 * UTF-8 to text, byte by byte. Each longest sequence that could have begun a character but did not
 * finish one becomes one U+FFFD, as the Unicode standard recommends (chapter 3, "substitution of
 * maximal subparts") and as Hugging Face's decoder does. Java's own decoder differs: it makes one
 * U+FFFD of the three bytes of an encoded surrogate, where three are due.
 */
final class Utf8Decoder {
  private static final char REPLACEMENT = '\uFFFD';

  private int missing; // continuation bytes that the current character still needs
  private int lowest = 0x80; // bounds of the next continuation byte
  private int highest = 0xBF;
  private int character; // bits seen so far

  void append(byte[] bytes, StringBuilder text) {
    for (byte next : bytes) {
      append(next & 0xFF, text);
    }
  }

  /** U+FFFD if a character is unfinished; afterwards the decoder is as new. */
  void finish(StringBuilder text) {
    if (missing > 0) {
      missing = 0;
      text.append(REPLACEMENT);
    }
  }

  private void append(int next, StringBuilder text) {
    if (missing == 0) {
      begin(next, text);
    } else if (next < lowest || next > highest) {
      finish(text);
      begin(next, text);
    } else {
      lowest = 0x80;
      highest = 0xBF;
      character = character << 6 | (next & 0x3F);
      missing--;
      if (missing == 0) {
        text.appendCodePoint(character);
      }
    }
  }

  private void begin(int first, StringBuilder text) {
    if (first < 0x80) {
      text.append((char) first);
    } else if (first < 0xC2 || first > 0xF4) {
      text.append(REPLACEMENT);
    } else {
      // The bounds leave out overlong forms, surrogates and what lies above U+10FFFF.
      lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
      highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
      missing = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
      character = first & (0x3F >> missing);
    }
  }
}
