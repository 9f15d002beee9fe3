package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.TimeZone;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.io.compress.BZip2Codec;
import org.apache.hadoop.io.compress.ZStandardCodec;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.udf.PartitionTask;

/** Files and folders in which rows could be lost, doubled, or named by where they are read. */
class InputFilesTest {
  private static LocalSession session;
  @TempDir Path folder;

  @BeforeAll
  static void start() {
    session = LocalSession.start(2);
  }

  @AfterAll
  static void stop() {
    session.close();
  }

  private JobRun run(Object input, String output, String... more) {
    return JobRun.generate(
        List.of(
            "--input=" + input,
            "--output=" + folder.resolve(output),
            "--format=json",
            "--max-tokens=4"),
        more);
  }

  private List<JsonNode> rows(Object input, String output, String... more) {
    JobRun run = run(input, output, more);
    assertEquals(Main.OK, run.exitCode(), run.err());
    return TestFiles.rows(folder.resolve(output));
  }

  private void assertRefused(JobRun run, String message) {
    assertEquals(Main.REFUSED, run.exitCode(), run.err());
    assertTrue(run.err().contains(message), run.err());
  }

  private Path file(String name, String... lines) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.writeString(file, String.join("\n", lines) + "\n");
  }

  private Path table(String name, String query) {
    Path table = folder.resolve(name);
    session.spark().sql(query).coalesce(1).write().parquet(table.toString());
    return table;
  }

  @Test
  void foldersWithinFoldersAreRead() throws IOException {
    Path parquet = table("nest/a", "select 1 as id, 'a' as prompt").getParent();
    table("nest/sub/b", "select 2 as id, 'b' as prompt");
    assertEquals(2, rows(parquet, "o1", "--input-format=parquet", "--prompt-column=prompt").size());
    Path csv = file("csv/one.csv", "id,prompt", "1,a").getParent();
    file("csv/sub/two.csv", "id,prompt", "2,b");
    assertEquals(2, rows(csv, "o2", "--input-format=csv", "--prompt-column=prompt").size());
  }

  @Test
  void foldersNamedByAValueAreColumnsAndNoneOtherMayStandBesideThem() {
    Path days = table("days/day=1", "select 1 as id, 'a' as prompt").getParent();
    table("days/day=2", "select 2 as id, 'b' as prompt");
    List<JsonNode> rows = rows(days, "o1", "--input-format=parquet", "--prompt-column=prompt");
    rows.forEach(row -> assertEquals(row.get("id"), row.get("day")));
    assertEquals(2, rows.size());
    table("days/other", "select 3 as id, 'c' as prompt");
    assertRefused(run(days, "o2", "--input-format=parquet", "--prompt-column=prompt"), "--input: ");
  }

  @Test
  void filesThatWouldBeDoubledOrHiddenAreRefused() throws IOException {
    Path file = file("in.jsonl", "{\"id\":1,\"prompt\":\"a\"}");
    Path hidden = file("_in.jsonl", "{\"id\":1,\"prompt\":\"a\"}");
    String twice = "expected each file once, found twice file:" + file;
    assertRefused(run(file + "," + file, "o", "--prompt-column=prompt"), twice);
    assertRefused(
        run(file + "," + folder + "/i*.jsonl", "o", "--prompt-column=prompt", "--key=id"), twice);
    assertRefused(run(hidden, "o", "--prompt-column=prompt"), "expected a name without _ or .");
    if (!ZStandardCodec.isNativeCodeLoaded()) {
      Path zst = Files.write(folder.resolve("in.jsonl.zst"), new byte[] {1});
      assertRefused(run(zst, "o", "--prompt-column=prompt"), "expected another compression");
    }
    assertFalse(Files.exists(folder.resolve("o")));
  }

  @Test
  void noOutputLiesInItsInputNorTheInputInItAlsoThroughLinks() throws IOException {
    Path input = file("in/a.jsonl", "{\"id\":1,\"prompt\":\"a\"}").getParent();
    String other = "expected another folder than the input's";
    String[] flags = {"--input-format=json", "--prompt-column=prompt", "--overwrite"};
    assertRefused(run(input, "in", flags), other);
    assertRefused(run(input, "in/out", flags), other);
    Path link = Files.createSymbolicLink(folder.resolve("link"), input);
    assertRefused(run(link, "in/out", flags), other);
    assertEquals(1, rows(input, "out", flags).size());
    Path written = Files.createSymbolicLink(folder.resolve("written"), folder.resolve("out"));
    assertRefused(run(written, "out", "--output-column=more", flags[0], flags[1], flags[2]), other);
    assertEquals(1, TestFiles.rows(folder.resolve("out")).size());
  }

  @Test
  void compressedLinesArePlacedAlikeHoweverFilesAreSplit() throws Exception {
    String lines =
        IntStream.range(0, 400)
            .mapToObj(id -> "{\"id\":%d,\"prompt\":\"a\"}\n".formatted(id))
            .collect(Collectors.joining());
    BZip2Codec codec = new BZip2Codec();
    codec.setConf(new Configuration());
    Path compressed = folder.resolve("in.jsonl.bz2");
    try (var out = codec.createOutputStream(Files.newOutputStream(compressed))) {
      out.write(lines.getBytes(StandardCharsets.UTF_8));
    }
    Path plain = Files.writeString(folder.resolve("plain.jsonl"), lines);
    Configuration hadoop = session.spark().sparkContext().hadoopConfiguration();
    String size = "mapreduce.input.fileinputformat.split.maxsize";
    hadoop.set(size, "200");
    try {
      assertTrue(read(plain).partitions() > 1);
      assertEquals(1, read(compressed).partitions());
      assertEquals(400, read(compressed).count());
    } finally {
      hadoop.unset(size);
    }
  }

  private InputRows read(Path file) throws Exception {
    JobConfig.Input input =
        new JobConfig.Input(
            List.of(file.toString()),
            JobConfig.Format.JSON,
            new PartitionTask.PromptColumn("prompt"),
            Optional.empty());
    Configuration hadoop = session.spark().sparkContext().hadoopConfiguration();
    return InputRows.read(Session.open(), input, InputFiles.list(hadoop, List.of(file.toString())));
  }

  @Test
  void timesReadTheSameInEveryZone() {
    Path times =
        table("times.parquet", "select timestamp '2024-07-01 12:00:00 UTC' as at, 1 as id");
    TimeZone before = TimeZone.getDefault();
    TreeMap<String, List<JsonNode>> rows = new TreeMap<>();
    try {
      for (String zone : List.of("UTC", "Asia/Kolkata")) {
        TimeZone.setDefault(TimeZone.getTimeZone(zone));
        rows.put(zone, rows(times, zone.replace('/', '-'), "--template={at}", "--key=at"));
      }
    } finally {
      TimeZone.setDefault(before);
    }
    assertEquals(
        rows.get("UTC").get(0).get("generation"),
        rows.get("Asia/Kolkata").get(0).get("generation"));
    assertEquals(rows.get("UTC").get(0).get("at"), rows.get("Asia/Kolkata").get(0).get("at"));
  }

  @Test
  void numbersAreSortedAsNumbers() {
    Path table =
        table("keys.parquet", "select cast(id as int) as id, 'a' as prompt from range(0, 12)");
    List<JsonNode> rows = rows(table, "o", "--prompt-column=prompt", "--key=id", "--sort-by-key");
    assertEquals(
        IntStream.range(0, 12).boxed().toList(),
        rows.stream().map(row -> row.get("id").asInt()).toList());
  }

  @Test
  void aRowOfFarTooManyFieldsIsAnErrorRow() throws IOException {
    Path csv = file("in.csv", "id,prompt", "1,a", "2,b" + ",".repeat(30_000), "3,c");
    List<JsonNode> rows = rows(csv, "o", "--prompt-column=prompt");
    assertEquals(3, rows.size());
    assertEquals(1, rows.stream().filter(it -> it.toString().contains("malformed-csv")).count());
  }

  @Test
  void tablesThatDoNotFitTogetherAreRefused() {
    Path one = table("one.parquet", "select 1 as id, 'a' as prompt");
    Path two = table("two.parquet", "select 'x' as id, 'a' as prompt");
    assertRefused(run(one + "," + two, "o", "--prompt-column=prompt"), "--input: cannot be read");
    assertFalse(Files.exists(folder.resolve("o")));
  }

  @Test
  void staticScalesThatAreMissingAreSeenBeforeAnythingIsWritten() throws IOException {
    Path file = file("in.jsonl", "{\"id\":1,\"prompt\":\"a\"}");
    assertRefused(
        run(file, "o", "--prompt-column=prompt", "--state=i8-static"), "asks for static scales");
    assertFalse(Files.exists(folder.resolve("o")));
  }
}
