package quamba.udf.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.udf.tokenizer.Tokenizer.TextStream;

class TextStreamTest {
  private static final String LLAMA =
      """
      {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "\\u2581"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}""";

  /** What a stream says of ids, each piece held to be certain and whole. */
  private static String streamed(TextStream stream, int[] ids, String decoded) {
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(stream.append(id));
      assertTrue(decoded.startsWith(text.toString()), "text was taken back");
      assertFalse(
          text.length() > 0 && Character.isHighSurrogate(text.charAt(text.length() - 1)),
          "half a character");
    }
    return text.append(stream.finish()).toString();
  }

  private static void assertStreamsAsDecoded(Tokenizer tokenizer, int[] ids) {
    String decoded = tokenizer.decode(ids);
    assertEquals(decoded, streamed(tokenizer.stream(), ids, decoded), () -> Arrays.toString(ids));
  }

  private static void assertRandomIdsStreamAsDecoded(Tokenizer tokenizer, int runs, long seed) {
    Random random = new Random(seed);
    int bound = tokenizer.vocabulary() + 2; // some are unknown
    for (int run = 0; run < runs; run++) {
      int[] ids = random.ints(random.nextInt(24), 0, bound).toArray();
      assertStreamsAsDecoded(tokenizer, ids);
    }
  }

  @ParameterizedTest
  @EnumSource(Goldens.class)
  void goldensCutInEveryPlaceStreamAsDecoded(Goldens goldens) throws IOException {
    try (HuggingFaceTokenizer tokenizer = goldens.open()) {
      for (Goldens.Case golden : goldens.cases()) {
        int[] ids = golden.idArray();
        for (int end = 0; end <= ids.length; end++) {
          assertStreamsAsDecoded(tokenizer, Arrays.copyOfRange(ids, 0, end));
          assertStreamsAsDecoded(tokenizer, Arrays.copyOfRange(ids, end, ids.length));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Goldens.class)
  void randomIdsOfPublishedVocabulariesStreamAsDecoded(Goldens goldens) throws IOException {
    try (HuggingFaceTokenizer tokenizer = goldens.open()) {
      assertRandomIdsStreamAsDecoded(tokenizer, 5_000, 1);
      // Single bytes and short parts of characters: most of it is no UTF-8.
      Random random = new Random(2);
      for (int run = 0; run < 5_000; run++) {
        assertStreamsAsDecoded(tokenizer, random.ints(random.nextInt(12), 2, 258).toArray());
      }
    }
  }

  @Test
  void randomBytesStreamAsDecoded() throws IOException {
    try (HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.open(SmallTokenizers.byteLevel())) {
      assertRandomIdsStreamAsDecoded(tokenizer, 10_000, 3);
      // The bytes at which well-formedness is decided, in every sequence of up to four.
      int[] deciding = {
        0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xE0, 0xE1, 0xED, 0xF0, 0xF1, 0xF4,
        0xF5
      };
      int[] ids = new int[4];
      int all = deciding.length * deciding.length * deciding.length * deciding.length;
      for (int sequence = 0; sequence < all; sequence++) {
        int rest = sequence;
        for (int i = 0; i < ids.length; i++) {
          ids[i] = 1 + deciding[rest % deciding.length];
          rest /= deciding.length;
        }
        assertStreamsAsDecoded(tokenizer, ids);
      }
    }
  }

  @Test
  void anEndInsideACharacterIsOneReplacement() throws IOException {
    try (HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.open(SmallTokenizers.byteLevel())) {
      TextStream stream = tokenizer.stream();
      assertEquals("a", stream.append(98));
      assertEquals("", stream.append(1 + 0xF0));
      assertEquals("", stream.append(1 + 0x9F));
      assertEquals("😀", stream.append(265));
      assertEquals("", stream.append(264));
      assertEquals("\uFFFD", stream.finish());
      assertEquals("", stream.finish());
      assertEquals("中", stream.append(264) + stream.append(1 + 0xAD));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        LLAMA,
        "null",
        "{\"type\": \"Fuse\"}",
        "{\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", \"prepend_scheme\": \"always\"}",
        "{\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", \"prepend_scheme\": \"never\"}",
        "{\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true}",
        "{\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": false}",
        "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteFallback\"}, {\"type\": \"Metaspace\","
            + " \"replacement\": \"\\u2581\", \"prepend_scheme\": \"always\"}]}",
      })
  void randomIdsOfTokenDecodersStreamAsDecoded(String decoder) {
    try (HuggingFaceTokenizer tokenizer =
        HuggingFaceTokenizer.open(SmallTokenizers.withDecoder(decoder))) {
      assertRandomIdsStreamAsDecoded(tokenizer, 5_000, 4);
    }
  }

  @Test
  void byteTokensAreCertainWhenTheirRunEnds() {
    try (HuggingFaceTokenizer tokenizer =
        HuggingFaceTokenizer.open(SmallTokenizers.withDecoder(LLAMA))) {
      TextStream stream = tokenizer.stream();
      assertEquals("", stream.append(2));
      assertEquals("", stream.pending());
      assertEquals("", stream.append(7) + stream.append(8));
      assertEquals("", stream.pending());
      assertEquals("", stream.append(9));
      assertEquals("€", stream.pending());
      assertEquals("€ b", stream.append(3));
      assertEquals("", stream.pending());
      assertEquals("", stream.append(7));
      assertEquals("\uFFFD", stream.finish());
      assertEquals("b", stream.append(3));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"type\": \"BPEDecoder\", \"suffix\": \"</w>\"}",
        "{\"type\": \"CTC\", \"pad_token\": \"a\", \"word_delimiter_token\": \"?\", \"cleanup\": true}",
        "{\"type\": \"Strip\", \"content\": \" \", \"start\": 0, \"stop\": 1}",
        "{\"type\": \"Strip\", \"content\": \" \", \"start\": 2, \"stop\": 0}",
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"\"}",
        "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Fuse\"}, {\"type\": \"Replace\","
            + " \"pattern\": {\"String\": \"ab\"}, \"content\": \"c\"}]}",
        "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteLevel\", \"add_prefix_space\": true,"
            + " \"trim_offsets\": true, \"use_regex\": true}, {\"type\": \"ByteFallback\"}]}",
      })
  void decodersWhoseTextIsNotCertainBeforeTheEndAreRefused(String decoder) {
    byte[] json = SmallTokenizers.withDecoder(decoder);
    assertThrows(IllegalArgumentException.class, () -> HuggingFaceTokenizer.open(json));
  }

  @ParameterizedTest
  @ValueSource(strings = {LLAMA, "null"})
  void anIdCostsTheSameHoweverManyCameBefore(String decoder) {
    // A cost that grew with the sequence, or with a run of byte tokens, would take hours.
    assertTimeoutPreemptively(
        Duration.ofSeconds(60),
        () -> {
          try (HuggingFaceTokenizer tokenizer =
              HuggingFaceTokenizer.open(SmallTokenizers.withDecoder(decoder))) {
            TextStream stream = tokenizer.stream();
            long length = 0;
            for (int i = 0; i < 1_000_000; i++) {
              length += stream.append(i < 500_000 ? 1 : 7).length();
              stream.pending();
            }
            assertTrue(length + stream.finish().length() >= 1_000_000);
          }
        });
  }
}
