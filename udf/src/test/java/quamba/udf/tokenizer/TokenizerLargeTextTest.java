package quamba.udf.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.io.IOException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TokenizerLargeTextTest {
  private static final int LENGTH = 200_000;

  private static Map<String, String> texts() {
    Map<String, String> texts = new LinkedHashMap<>();
    texts.put("prose", "The quick brown fox. ".repeat(LENGTH / 21));
    texts.put("one letter", "a".repeat(LENGTH));
    texts.put("spaces", " ".repeat(LENGTH));
    texts.put("spaces and a word", " ".repeat(LENGTH) + "end");
    texts.put("lines", "\n".repeat(LENGTH));
    texts.put("mixed white space", " \n\t\u00a0".repeat(LENGTH / 4));
    texts.put("one Chinese character", "\u4e2d".repeat(LENGTH));
    StringBuilder chinese = new StringBuilder();
    StringBuilder emoji = new StringBuilder();
    for (int i = 0; i < LENGTH; i++) {
      chinese.append((char) (0x4E00 + (i * 7919) % 0x5000));
      emoji.appendCodePoint(0x1F300 + (i * 7919) % 0x300);
    }
    texts.put("Chinese", chinese.toString());
    texts.put("emoji", emoji.toString());
    texts.put("digits", "0123456789".repeat(LENGTH / 10));
    texts.put("punctuation", "-=".repeat(LENGTH / 2));
    texts.put("combining marks", "e" + "\u0301\u0323".repeat(LENGTH / 2));
    texts.put("NUL", "\0".repeat(LENGTH));
    texts.put("special tokens", "<|endoftext|>".repeat(LENGTH / 13));
    return texts;
  }

  @ParameterizedTest
  @EnumSource(Goldens.class)
  void longTextsOfOneKindTakeSecondsAtMost(Goldens goldens) throws IOException {
    try (HuggingFaceTokenizer tokenizer = goldens.open()) {
      texts()
          .forEach(
              (name, text) -> {
                int[] ids =
                    assertTimeoutPreemptively(
                        Duration.ofSeconds(30), () -> tokenizer.encode(text), name);
                if (!name.equals("combining marks")) { // these come in the order of NFC
                  assertEquals(text, tokenizer.decode(ids), name);
                }
              });
    }
  }
}
