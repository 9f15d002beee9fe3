package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.zip.GZIPOutputStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The contract of rows, in all formats, within one JVM. */
class GenerateCommandTest {
  private static final StructType IDS =
      new StructType().add("id", DataTypes.IntegerType).add("prompt", DataTypes.StringType);

  private static LocalSession session;
  @TempDir Path folder;
  private Path output;

  @BeforeAll
  static void start() {
    session = LocalSession.start(2);
  }

  @AfterAll
  static void stop() {
    session.close();
  }

  @BeforeEach
  void paths() {
    output = folder.resolve("out");
  }

  private JobRun run(Path input, String... more) {
    return JobRun.generate(
        List.of("--input=" + input, "--output=" + output, "--max-tokens=4"), more);
  }

  private List<JsonNode> json(Path input, String... more) {
    List<String> flags =
        List.of("--input=" + input, "--output=" + output, "--max-tokens=4", "--format=json");
    JobRun run = JobRun.generate(flags, more);
    assertEquals(Main.OK, run.exitCode(), run.err());
    return TestFiles.rows(output);
  }

  private Path file(String name, String... lines) throws IOException {
    return Files.writeString(folder.resolve(name), String.join("\n", lines));
  }

  private Path parquet(String name, Dataset<Row> rows) {
    Path path = folder.resolve(name);
    rows.write().parquet(path.toString());
    return path;
  }

  private static Dataset<Row> prompts(int count, int partitions) {
    List<Row> rows =
        IntStream.range(0, count)
            .mapToObj(i -> RowFactory.create(i, "Chapter " + i + ". It was"))
            .toList();
    return session.spark().createDataFrame(rows, IDS).repartition(partitions);
  }

  private static Map<String, String> texts(List<JsonNode> rows) {
    Map<String, String> texts = new TreeMap<>();
    rows.forEach(row -> texts.put(row.get("id").asText(), row.get("generation").asText()));
    return texts;
  }

  private static Map<String, String> classes(List<JsonNode> rows) {
    Map<String, String> classes = new TreeMap<>();
    rows.forEach(
        row ->
            classes.put(
                row.path("id").asText(), row.get("generation_error").path("class").asText("ok")));
    return classes;
  }

  @Test
  void parquetToParquetReadWithoutSpark() throws IOException {
    Path input = parquet("in.parquet", prompts(5, 2));
    JobRun run = run(input, "--prompt-column=prompt", "--key=id", "--stop=it");
    assertEquals(Main.OK, run.exitCode(), run.err());
    ParquetRows found = ParquetRows.read(output);
    assertEquals(
        List.of(
            "int32 id",
            "binary prompt (STRING)",
            "binary generation (STRING)",
            "group generation_error {binary class (STRING), binary message (STRING), boolean"
                + " retryable}",
            "group generation_meta {int32 prompt_tokens, int32 generated_tokens, binary"
                + " finish_reason (STRING), int64 batch_ms, binary model (STRING), int64 seed}"),
        found.schema());
    assertEquals(5, found.rows().size());
    for (Map<String, Object> row : found.rows()) {
      assertEquals("Chapter " + row.get("id") + ". It was", row.get("prompt"));
      assertTrue(row.get("generation") instanceof String, row.toString());
      assertFalse(row.containsKey("generation_error"));
      assertTrue(List.of("stop", "length").contains(row.get("generation_meta.finish_reason")));
      assertTrue((Integer) row.get("generation_meta.prompt_tokens") > 3);
      assertTrue((Integer) row.get("generation_meta.generated_tokens") <= 4);
      assertTrue(row.get("generation_meta.model").toString().startsWith("mamba2-5m@"));
    }
    assertTrue(Files.exists(output.resolve("_SUCCESS")));
    assertTrue(run.out().contains("rows: "), run.out());
    assertTrue(run.out().contains("tokens: "), run.out());
    assertTrue(run.out().contains("seconds: start-up"), run.out());
    assertTrue(run.out().matches("(?s).*speed: first token \\d+\\.\\d s, slots .*"), run.out());
  }

  @Test
  void sameTextsWhateverThePartitionsAndFormats() throws IOException {
    String[] sampling = {"--prompt-column=prompt", "--key=id", "--temperature=1", "--seed=7"};
    Map<String, String> expected = texts(json(parquet("one.parquet", prompts(24, 1)), sampling));
    assertEquals(24, expected.size());
    assertTrue(expected.values().stream().distinct().count() > 5);
    output = folder.resolve("four");
    assertEquals(expected, texts(json(parquet("four.parquet", prompts(24, 4)), sampling)));
    output = folder.resolve("jsonl");
    List<String> lines = new ArrayList<>();
    expected
        .keySet()
        .forEach(
            id -> lines.add("{\"id\":%s,\"prompt\":\"Chapter %s. It was\"}".formatted(id, id)));
    assertEquals(expected, texts(json(file("in.jsonl", lines.toArray(new String[0])), sampling)));
    output = folder.resolve("csv");
    List<String> rows = new ArrayList<>(List.of("id,prompt"));
    expected.keySet().forEach(id -> rows.add("%s,\"Chapter %s. It was\"".formatted(id, id)));
    List<JsonNode> sorted =
        json(
            file("in.csv", rows.toArray(new String[0])),
            "--prompt-column=prompt",
            "--key=id",
            "--temperature=1",
            "--seed=7",
            "--slots=1",
            "--sort-by-key");
    assertEquals(expected, texts(sorted));
    assertEquals(
        List.copyOf(expected.keySet()), sorted.stream().map(it -> it.get("id").asText()).toList());
  }

  @Test
  void csvKeepsTextAsItStands() throws IOException {
    Path input = folder.resolve("in.csv.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(input))) {
      String text =
          String.join(
              "\r\n",
              "id,prompt,temperature,stop",
              "007,\"He said \"\"hi,\nthere\"\"",
              "\",,",
              "two,\"\",0.5,x",
              "three,,,",
              "four,hot,very,",
              "five");
      out.write(text.getBytes(StandardCharsets.UTF_8));
    }
    List<JsonNode> rows = json(input, "--prompt-column=prompt", "--key=id");
    assertEquals(
        Map.of(
            "007", "ok",
            "two", "ok",
            "three", "null-prompt",
            "four", "invalid-sampling",
            "five", "malformed-csv"),
        classes(rows));
    for (JsonNode row : rows) {
      if (row.get("id").asText().equals("007")) {
        assertEquals("He said \"hi,\nthere\"\n", row.get("prompt").asText());
        assertTrue(row.has("stop") && row.get("stop").isNull());
      }
    }
  }

  @Test
  void brokenLinesAreErrorRows() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (String line :
        List.of(
            "{\"id\":1,\"prompt\":\"fine\"}",
            "",
            "{\"id\":2,\"prompt\":\"cut",
            " \t\r",
            "{\"id\":3,\"prompt\":\"one\"} {\"id\":4}",
            "[{\"id\":5}]",
            "{\"id\":6,\"prompt\":\"a\rb\",\"meta\":{}}",
            "{\"id\":7,\"prompt\":\"two\",\"meta\":{\"a\":1,\"a\":2}}",
            "{\"id\":8,\"prompt\":\"caf\u00e9\"}",
            "{\"id\":9,\"prompt\":\"\"}",
            "{\"id\":10,\"prompt\":\"many words that are too long a prompt\"}")) {
      bytes.write((line + "\n").getBytes(StandardCharsets.ISO_8859_1));
    }
    Path input = Files.write(folder.resolve("in.jsonl"), bytes.toByteArray());
    List<JsonNode> rows = json(input, "--prompt-column=prompt", "--max-prompt-tokens=4");
    assertEquals(9, rows.size());
    Map<String, Integer> counts = new TreeMap<>();
    rows.forEach(
        row ->
            counts.merge(row.get("generation_error").path("class").asText("ok"), 1, Integer::sum));
    assertEquals(
        Map.of(
            "ok", 3,
            "malformed-json", 3,
            "not-an-object", 1,
            "invalid-text", 1,
            "prompt-too-long", 1),
        counts);
    assertEquals(
        "2",
        rows.stream()
            .filter(it -> it.path("id").asInt() == 7)
            .findFirst()
            .orElseThrow()
            .path("meta")
            .path("a")
            .asText());
  }

  @Test
  void invalidUtf8InParquetIsAnErrorAndIsKept() {
    Dataset<Row> rows =
        session
            .spark()
            .sql(
                "select 1 as id, cast(X'61FF62' as string) as prompt"
                    + " union all select 2, 'good'");
    Path input = parquet("in.parquet", rows);
    JobRun run = run(input, "--prompt-column=prompt");
    assertEquals(Main.OK, run.exitCode(), run.err());
    List<Row> found =
        session
            .spark()
            .read()
            .parquet(output.toString())
            .selectExpr("id", "hex(prompt)", "generation_error.class")
            .orderBy("id")
            .collectAsList();
    assertEquals("61FF62", found.get(0).getString(1));
    assertEquals("invalid-text", found.get(0).getString(2));
    assertTrue(found.get(1).isNullAt(2));
  }

  @Test
  void templatesFillColumns() throws IOException {
    Path input =
        file(
            "in.jsonl",
            "{\"id\":1,\"who\":\"The cat\",\"n\":3}",
            "{\"id\":2,\"who\":null,\"n\":3}",
            "{\"id\":3,\"who\":\"x\",\"n\":[3]}",
            "{\"id\":4,\"who\":\"The cat\",\"n\":3,\"stop\":[\"\"]}",
            "{\"id\":5,\"who\":\"The cat\",\"n\":3,\"max_tokens\":2.0,\"stop\":\"END\"}");
    List<JsonNode> rows = json(input, "--template={who} has {n} lives {{");
    assertEquals(
        Map.of(
            "1", "ok",
            "2", "null-template-column",
            "3", "not-a-string",
            "4", "invalid-sampling",
            "5", "ok"),
        classes(rows));
    for (JsonNode row : rows) {
      if (row.get("id").asInt() == 5) {
        assertEquals(2, row.get("generation_meta").get("generated_tokens").asInt());
      }
    }
  }

  @Test
  void textOutsideTheVocabularyIsAnErrorRow() throws IOException {
    Path model = Files.createDirectories(folder.resolve("model"));
    for (String name : List.of("config.json", "model.safetensors")) {
      Files.copy(TestFiles.model().resolve(name), model.resolve(name));
    }
    Files.writeString(
        model.resolve("tokenizer.json"),
        """
        {"version": "1.0", "added_tokens": [],
         "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"a": 0}}}
        """);
    Path input = file("in.jsonl", "{\"id\":1,\"prompt\":\"a\"}", "{\"id\":2,\"prompt\":\"b\"}");
    JobRun run =
        JobRun.of(
            "generate",
            "--model=" + model,
            "--input=" + input,
            "--output=" + output,
            "--format=json",
            "--prompt-column=prompt",
            "--max-tokens=2");
    assertEquals(Main.OK, run.exitCode(), run.err());
    assertEquals(Map.of("1", "ok", "2", "invalid-text"), classes(TestFiles.rows(output)));
  }

  @Test
  void noRowsAtAll() throws IOException {
    JobRun empty = run(file("in.jsonl", ""), "--prompt-column=prompt", "--key=id");
    assertEquals(Main.OK, empty.exitCode(), empty.err());
    ParquetRows found = ParquetRows.read(output);
    assertEquals(0, found.rows().size());
    assertEquals(
        List.of("binary prompt (STRING)", "binary id (STRING)"), found.schema().subList(0, 2));
    output = folder.resolve("csv");
    assertEquals(Main.OK, run(file("in.csv", ""), "--prompt-column=prompt").exitCode());
    output = folder.resolve("header");
    assertEquals(Main.OK, run(file("header.csv", "a,prompt"), "--prompt-column=prompt").exitCode());
    output = folder.resolve("parquet");
    assertEquals(
        Main.OK, run(parquet("in.parquet", prompts(0, 1)), "--prompt-column=prompt").exitCode());
    assertEquals(5, ParquetRows.read(output).schema().size());
  }

  @Test
  void severalFilesAndTooManyErrors() throws IOException {
    Path one = file("one.jsonl", "{\"id\":1,\"prompt\":\"a\"}");
    Path two = file("two.jsonl", "{\"id\":2}");
    JobRun run =
        run(Path.of(one + "," + two), "--prompt-column=prompt", "--max-error-fraction=0.4");
    assertEquals(Main.TOO_MANY_ERRORS, run.exitCode());
    assertTrue(run.err().contains("1 of 2 rows are errors"), run.err());
    assertEquals(2, ParquetRows.read(output).rows().size());
    JobRun again =
        run(Path.of(one + "," + two), "--prompt-column=prompt", "--max-error-fraction=0.5");
    assertEquals(Main.OK, again.exitCode());
    assertTrue(again.out().contains("already complete, nothing done"), again.out());
  }
}
