package quamba.udf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import quamba.udf.tokenizer.HuggingFaceTokenizer;
import quamba.udf.tokenizer.Tokenizer;

class StopTextTest {
  /** As in vocabularies of SentencePiece, a line break is a token of a byte. */
  private final Tokenizer tokenizer =
      HuggingFaceTokenizer.open(
          """
          {"version": "1.0", "added_tokens": [], "decoder": {"type": "ByteFallback"},
           "model": {"type": "WordLevel", "unk_token": "a",
            "vocab": {"a": 0, "b": 1, "<0x0A>": 2, "<0xE2>": 3, "<0x82>": 4, "<0xAC>": 5}}}
          """
              .getBytes(StandardCharsets.UTF_8));

  @AfterEach
  void close() {
    tokenizer.close();
  }

  private StopText stop(String... texts) {
    return StopText.of(List.of(texts), tokenizer);
  }

  @Test
  void aStopTextOfByteTokensIsFoundWithItsLastByte() {
    StopText lines = stop("\n\n");
    assertFalse(lines.append(0));
    assertFalse(lines.append(2));
    assertTrue(lines.append(2));
    assertEquals("a", lines.cut("a\n\n"));
    StopText euro = stop("b€");
    assertFalse(euro.append(1));
    assertFalse(euro.append(3));
    assertFalse(euro.append(4));
    assertTrue(euro.append(5));
  }

  @Test
  void bytesThatAreNoStopTextDoNotStop() {
    StopText broken = stop("\na");
    assertFalse(broken.append(2));
    assertFalse(broken.append(2));
    assertTrue(broken.append(0));
    StopText invalid = stop("\n");
    assertFalse(invalid.append(3));
    assertFalse(invalid.append(2), "with the byte before it is no UTF-8");
    assertFalse(invalid.append(1));
  }

  @Test
  void aStopTextInALongRunOfByteTokensIsFoundSoon() {
    StopText stop = stop("\n\n\n€");
    for (int i = 0; i < 9_999; i++) {
      assertFalse(stop.append(2));
    }
    int more = 1;
    for (int id = 3; more < 200 && !stop.append(id); id = id == 5 ? 3 : id + 1) {
      more++;
    }
    assertTrue(more < 200, "not found within 200 ids");
  }
}
