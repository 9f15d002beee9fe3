package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.udf.SharedFiles;

/** Two files of rows that have broken readers before: one right outcome for each row. */
class NastyInputTest {
  private static final String OK = "ok";

  /** By what each row says of itself; a row that is not listed runs. */
  private static final Map<String, String> EXPECTED = expected();

  private static LocalSession session;
  @TempDir Path folder;

  private static Map<String, String> expected() {
    Map<String, String> expected = new HashMap<>();
    expected.put("null prompt", "null-prompt");
    expected.put("prompt field absent", "null-prompt");
    for (String kind :
        List.of(
            "an integer",
            "a float",
            "a boolean",
            "a list of strings",
            "an empty list",
            "an object",
            "a list of chat messages",
            "a list of token ids")) {
      expected.put("prompt is " + kind, "not-a-string");
    }
    for (String broken :
        List.of(
            "lone high surrogate",
            "lone low surrogate",
            "reversed surrogate pair",
            "lone surrogate only",
            "string ends in half an emoji")) {
      expected.put(broken, "invalid-text");
    }
    expected.put("per-row generation settings, negative and absurd", "invalid-sampling");
    for (String large :
        List.of(
            "200 kB of Chinese characters (66,667 characters)",
            "200 kB of one letter, no white space",
            "200 kB of word-salad prose",
            "200 kB that is white space but for the last letter",
            "2,048 short lines",
            "20 kB prose, then the question at the very end",
            "4,000 random digits",
            "5,000 emoji in a row",
            "base64 blob, 48 kB",
            "extremely repetitive, no space",
            "extremely repetitive, one letter 20,000 times",
            "extremely repetitive, one word 5,000 times",
            "hex dump",
            "long run of one punctuation mark",
            "one 'word' of 3,000 mixed letters without white space",
            "one ZWJ chain of 500 emoji",
            "random Unicode letters from many planes")) {
      expected.put(large, "prompt-too-long");
    }
    return expected;
  }

  @BeforeAll
  static void start() {
    session = LocalSession.start(2);
  }

  @AfterAll
  static void stop() {
    session.close();
  }

  private List<JsonNode> generate(String file, String... more) {
    Path output = folder.resolve("out");
    JobRun run =
        JobRun.generate(
            List.of(
                "--input=" + SharedFiles.shared("data/prompts/" + file),
                "--output=" + output,
                "--format=json",
                "--prompt-column=prompt",
                "--max-tokens=2",
                "--max-prompt-tokens=2048"),
            more);
    assertEquals(Main.OK, run.exitCode(), run.err());
    return TestFiles.rows(output);
  }

  private static String outcome(JsonNode row) {
    boolean generated = row.get("generation").isTextual();
    assertEquals(generated, row.get("generation_error").isNull());
    assertEquals(
        generated, !row.get("generation_meta").get("finish_reason").asText().equals("error"));
    return generated ? OK : row.get("generation_error").get("class").asText();
  }

  private static void assertOutcomes(List<JsonNode> rows, Map<String, String> expected) {
    Map<String, String> found = new TreeMap<>();
    Map<String, String> wanted = new TreeMap<>();
    for (JsonNode row : rows) {
      String why = row.get("why").asText();
      found.put(why, outcome(row));
      wanted.put(why, expected.getOrDefault(why, OK));
    }
    assertEquals(wanted, found);
    assertTrue(found.keySet().containsAll(expected.keySet()));
  }

  @Test
  void everyRowHasItsOutcome() {
    List<JsonNode> rows = generate("nasty.jsonl");
    assertEquals(147, rows.size());
    assertOutcomes(rows, EXPECTED);
    Map<String, JsonNode> byWhy = new HashMap<>();
    rows.forEach(row -> byWhy.put(row.get("why").asText(), row));
    JsonNode odd = byWhy.get("extra columns named like SQL words and with odd characters");
    assertEquals(2, odd.get("a.b").asInt());
    assertEquals(4, odd.get("a`b").asInt());
    assertEquals(5, odd.get("").asInt());
    assertEquals(
        "123456789012345678901234567890",
        byWhy.get("id is an integer beyond 64 bits").get("id").asText());
    assertEquals("1.0", byWhy.get("id is a float").get("id").asText());
    assertEquals(
        "line one\u2028line two\u2029line three\u0085line four",
        byWhy
            .get("raw U+2028, U+2029 and U+0085 (line breaks for some readers, not for JSONL)")
            .get("prompt")
            .asText());
    JsonNode own = byWhy.get("per-row generation settings, valid").get("generation_meta");
    assertEquals(1, own.get("seed").asLong());
  }

  @Test
  void everyRowHasItsOutcomeByKey() {
    Map<String, String> expected = new HashMap<>(EXPECTED);
    expected.put("duplicate id, second of three, other text", "duplicate-key");
    expected.put("duplicate id, third of three, same text as the first", "duplicate-key");
    expected.put("id field absent", "missing-key");
    expected.put("id is null", "missing-key");
    expected.put("lone surrogate in the id", "invalid-text");
    List<JsonNode> rows = generate("nasty.jsonl", "--key=id");
    assertEquals(147, rows.size());
    assertOutcomes(rows, expected);
  }

  private static Map<String, Integer> counts(List<JsonNode> rows) {
    Map<String, Integer> counts = new LinkedHashMap<>();
    rows.forEach(row -> counts.merge(outcome(row), 1, Integer::sum));
    return counts;
  }

  @Test
  void lastOfDoubledMembersCounts() {
    List<JsonNode> rows = generate("nasty_keys.jsonl");
    assertEquals(13, rows.size());
    assertEquals(Map.of(OK, 4, "null-prompt", 4, "not-an-object", 5), counts(rows));
    Map<String, String> prompts = new HashMap<>();
    for (JsonNode row : rows) {
      if (outcome(row).equals(OK)) {
        prompts.put(row.get("id").asText(), row.get("prompt").asText());
      }
    }
    assertEquals(
        Map.of(
            "keys-000", "second value",
            "keys-001b", "two ids",
            "keys-003", "lower",
            "keys-006", "escaped key"),
        prompts);
  }

  @Test
  void rowsWithoutKeyAreErrors() {
    List<JsonNode> rows = generate("nasty_keys.jsonl", "--key=id");
    assertEquals(13, rows.size());
    assertEquals(
        Map.of(OK, 4, "null-prompt", 3, "not-an-object", 5, "missing-key", 1), counts(rows));
  }
}
