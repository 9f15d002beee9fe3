package quamba.udf.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HuggingFaceTokenizerTest {
  private HuggingFaceTokenizer tokenizer;

  @BeforeEach
  void open() throws IOException {
    tokenizer = HuggingFaceTokenizer.open(SmallTokenizers.byteLevel());
  }

  @AfterEach
  void close() {
    tokenizer.close();
  }

  @Test
  void nothingIsCutOrPaddedOrPutInFrontWhateverTheFileAsksFor() {
    assertArrayEquals(new int[] {}, tokenizer.encode(""));
    assertArrayEquals(new int[] {98}, tokenizer.encode("a"));
    assertArrayEquals(new int[] {258, 259, 259, 259, 259}, tokenizer.encode("he the the the the"));
    assertEquals(40, tokenizer.encode("x".repeat(40)).length);
  }

  @Test
  void tokensWrittenOutBecomeTheirIdsAndIdsAreWrittenOut() {
    assertArrayEquals(
        new int[] {98, 0, 266, 267, 0}, tokenizer.encode("a<|endoftext|>  <é><|endoftext|>"));
    assertEquals("a<|endoftext|>  a", tokenizer.decode(new int[] {98, 0, 266, 98}));
  }

  @Test
  void theVocabularyReachesToTheHighestAddedToken() {
    assertEquals(268, tokenizer.vocabulary());
    assertEquals(OptionalInt.of(0), tokenizer.idOf("<|endoftext|>"));
    assertEquals(OptionalInt.of(259), tokenizer.idOf("Ġthe"));
    assertEquals(OptionalInt.of(266), tokenizer.idOf("  "));
    assertEquals(OptionalInt.empty(), tokenizer.idOf(" the"));
  }

  @Test
  void addedTokensHaveTheIdsThatTheLibraryGivesThem() {
    byte[] json =
        """
        {"version": "1.0", "added_tokens": [
           {"id": 900, "content": "<x>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true},
           {"id": 1, "content": "b", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": false},
           {"id": 901, "content": "<y>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": false}],
         "decoder": null, "normalizer": null, "pre_tokenizer": null, "post_processor": null,
         "model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "b": 7}}}"""
            .getBytes(StandardCharsets.UTF_8);
    try (HuggingFaceTokenizer gaps = HuggingFaceTokenizer.open(json)) {
      for (String token : new String[] {"a", "b", "<x>", "<y>"}) {
        int id = gaps.idOf(token).getAsInt();
        assertArrayEquals(new int[] {id}, gaps.encode(token), token);
        assertEquals(token, gaps.decode(new int[] {id}));
      }
      assertEquals(9, gaps.vocabulary());
    }
  }

  @Test
  void everyCharacterComesBack() {
    StringBuilder text = new StringBuilder();
    for (int character = 0; character < 0x11_0000; character += character < 0x800 ? 1 : 0x11) {
      if (character < 0xD800 || character > 0xDFFF) {
        text.appendCodePoint(character);
      }
    }
    assertEquals(text.toString(), tokenizer.decode(tokenizer.encode(text.toString())));
    assertArrayEquals(new int[] {1, 2, 32, 128, 1}, tokenizer.encode("\0\1\37\177\0"));
  }

  @Test
  void unknownIdsHaveNoText() {
    assertEquals("ab", tokenizer.decode(new int[] {98, 268, -1, Integer.MAX_VALUE, 99}));
  }

  @ParameterizedTest
  @CsvSource({
    "\ud83d, 0",
    "a\ud83d, 1",
    "a\udE00b, 1",
    "\ud83d\ude00\ude00, 2",
    "ab\ud83d\ud83d\ude00, 2"
  })
  void halvesOfCharactersAreRefusedByIndex(String text, int index) {
    Exception refused = assertThrows(IllegalArgumentException.class, () -> tokenizer.encode(text));
    assertEquals("unpaired surrogate at index " + index, refused.getMessage());
  }

  @Test
  void textThatCouldExhaustTheMemoryIsRefused() {
    String text = "a".repeat((1 << 24) + 1);
    assertThrows(IllegalArgumentException.class, () -> tokenizer.encode(text));
  }

  @Test
  void nothingWorksAfterClose() {
    tokenizer.close();
    tokenizer.close();
    assertThrows(IllegalStateException.class, () -> tokenizer.encode("a"));
    assertThrows(IllegalStateException.class, () -> tokenizer.decode(new int[] {1}));
    assertThrows(IllegalStateException.class, tokenizer::stream);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "[]",
        "null",
        "{}",
        "{\"model\": {\"vocab\": {}}}",
        "{\"version\": \"1.0\", \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}} {",
        "{\"model\": {\"vocab\": {\"a\": -1}}}",
        "{\"model\": {\"vocab\": {\"a\": \"b\"}}}",
        "{\"model\": {\"vocab\": {\"a\": 4000000000}}}",
        "{\"version\": \"9\", \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
        "{\"version\": \"1.0\", \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a b\"]}}",
        "{\"version\": \"1.0\", \"decoder\": {\"type\": \"Fuse",
        "{\"version\": \"1.0\", \"decoder\": \"\\ud800\", \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
        "{\"version\": \"1.0\", \"decoder\": 1e999, \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
        "{\"version\": \"1.0\", \"decoder\": {\"type\": \"None\"}, \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
        "{\"version\": \"1.0\", \"model\": {\"type\": \"BPE\", \"dropout\": 0.1, \"vocab\": {}, \"merges\": []}}",
      })
  void whatIsNoTokenizerIsRefused(String json) {
    byte[] bytes = json.getBytes(StandardCharsets.UTF_8);
    Exception refused =
        assertThrows(IllegalArgumentException.class, () -> HuggingFaceTokenizer.open(bytes));
    assertTrue(
        refused.getMessage().startsWith("tokenizer.json is not valid: "), refused.getMessage());
  }

  @Test
  void everyPieceCutOffTheFrontOfAFileIsRefused() throws IOException {
    String json = new String(SmallTokenizers.byteLevel(), StandardCharsets.UTF_8);
    for (int length = 0; length < json.trim().length(); length += 97) {
      byte[] cut = json.substring(0, length).getBytes(StandardCharsets.UTF_8);
      assertThrows(IllegalArgumentException.class, () -> HuggingFaceTokenizer.open(cut));
    }
  }

  @Test
  void textOutsideAVocabularyWithoutATokenForItIsRefused() {
    String model = "{\"type\": \"WordLevel\", \"unk_token\": \"?\", \"vocab\": {\"a\": 0}}";
    try (HuggingFaceTokenizer tokenizer =
        HuggingFaceTokenizer.open(SmallTokenizers.json(model, "null"))) {
      assertArrayEquals(new int[] {0}, tokenizer.encode("a"));
      UnencodableTextException refused =
          assertThrows(UnencodableTextException.class, () -> tokenizer.encode("secret"));
      assertFalse(refused.getMessage().contains("secret"), refused.getMessage());
    }
  }

  @Test
  void nestingBeyondWhatTheLibraryReadsIsRefused() {
    String decoder = "[".repeat(500) + "]".repeat(500);
    byte[] json = SmallTokenizers.withDecoder(decoder);
    assertThrows(IllegalArgumentException.class, () -> HuggingFaceTokenizer.open(json));
  }
}
