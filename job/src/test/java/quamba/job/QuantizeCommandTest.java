package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

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
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.apache.spark.sql.Encoders;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import quamba.udf.CalibratePartition;
import quamba.udf.Weights;
import quamba.udf.checkpoint.Manifest;
import quamba.udf.quantizer.Scheme;
import quamba.udf.quantizer.WardClustering;
import quamba.udf.recipe.Quantizer;
import quamba.udf.recipe.Recipe;
import quamba.udf.tokenizer.HuggingFaceTokenizer;

class QuantizeCommandTest {
  private static LocalSession session;
  @TempDir static Path files;
  @TempDir Path folder;

  @BeforeAll
  static void start() {
    // One task's moments are 2.7 MiB: two of them would not fit.
    session = LocalSession.start(2, "4m");
  }

  @AfterAll
  static void stop() {
    session.close();
  }

  private static List<String> texts() {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      texts.add(
          ("The " + i + "th captain looked at the sea, and said: \"It is calm.\" ").repeat(4));
    }
    return texts;
  }

  private static Path jsonLines() throws IOException {
    StringBuilder lines = new StringBuilder();
    for (String text : texts()) {
      lines.append("{\"text\": \"").append(text.replace("\"", "\\\"")).append("\"}\n");
    }
    return Files.writeString(files.resolve("texts.jsonl"), lines);
  }

  private JobRun quantize(Path calibration, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "quantize",
                "--model=" + TestFiles.model(),
                "--output=" + folder.resolve("out"),
                "--calibration=" + calibration,
                "--samples=5",
                "--sample-tokens=48"));
    arguments.addAll(List.of(more));
    return JobRun.of(arguments.toArray(new String[0]));
  }

  @Test
  void quantizedModelGenerates() throws IOException {
    JobRun run = quantize(jsonLines(), "--scheme=w4a8");
    assertEquals(Main.OK, run.exitCode(), run.err());
    assertTrue(run.out().contains("calibration: 5 samples, 3 held out"), run.out());
    assertTrue(run.out().contains("lm_head"), run.out());
    assertTrue(run.out().contains("held-out texts: perplexity"), run.out());
    Path prompts = Files.writeString(folder.resolve("in.jsonl"), "{\"prompt\":\"The captain\"}\n");
    JobRun generated =
        JobRun.of(
            "generate",
            "--model=" + folder.resolve("out"),
            "--input=" + prompts,
            "--output=" + folder.resolve("generated"),
            "--prompt-column=prompt",
            "--max-tokens=8");
    assertEquals(Main.OK, generated.exitCode(), generated.err());
    assertTrue(generated.out().contains("8 generated"), generated.out());
    assertTrue(generated.out().contains("of these weights in fp16"), generated.out());
    JobRun rounded =
        JobRun.of(
            "generate",
            "--model=" + folder.resolve("out"),
            "--input=" + prompts,
            "--output=" + folder.resolve("generated-i8"),
            "--prompt-column=prompt",
            "--state=i8",
            "--max-tokens=8");
    assertEquals(Main.OK, rounded.exitCode(), rounded.err());
    JobRun withoutScales =
        JobRun.of(
            "generate",
            "--model=" + folder.resolve("out"),
            "--input=" + prompts,
            "--output=" + folder.resolve("generated-static"),
            "--prompt-column=prompt",
            "--state=i8-static",
            "--max-tokens=8");
    assertEquals(Main.REFUSED, withoutScales.exitCode());
    assertFalse(Files.exists(folder.resolve("generated-static")));
    JobRun twice =
        JobRun.of(
            "quantize",
            "--model=" + folder.resolve("out"),
            "--output=" + folder.resolve("twice"),
            "--calibration=" + folder.resolve("none.jsonl"),
            "--scheme=w4a8");
    assertEquals(Main.REFUSED, twice.exitCode());
    assertTrue(twice.err().contains("expected a model that is not quantized"), twice.err());
    assertTrue(withoutScales.err().contains("state_scale"), withoutScales.err());
    try (Stream<Path> left = Files.list(folder)) {
      assertTrue(left.noneMatch(it -> it.toString().contains("unfinished")), "layers are deleted");
    }
    JobRun again = quantize(jsonLines(), "--scheme=w4a8");
    assertEquals(Main.REFUSED, again.exitCode());
    assertTrue(again.err().contains("expected an empty folder"), again.err());
  }

  /** However the samples are spread. */
  @Test
  void partitionsDoNotMatter() throws IOException {
    Map<Integer, String> digests = new TreeMap<>();
    for (int partitions : new int[] {1, 4}) {
      Path output = folder.resolve("of" + partitions);
      try (Weights.Origin origin = Weights.Origin.open(TestFiles.model());
          Session opened = Session.open()) {
        List<int[]> samples = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
          int first = 300 + 7 * i;
          samples.add(IntStream.range(first, first + 40 + i).toArray());
        }
        try (CalibratePartition calibration =
            new CalibratePartition(
                opened.context(),
                samples,
                samples,
                partitions,
                new CalibratePartition.Work("cpu", 1, 64))) {
          new Quantizer(
                  Recipe.standard(Scheme.W8A8),
                  calibration,
                  new Recipe.Means(new WardClustering(), 2),
                  line -> {})
              .quantize(origin.checkpoint())
              .write(output, origin.tokenizer());
        }
      }
      digests.put(partitions, Manifest.read(output).sha256().toString());
    }
    assertEquals(digests.get(1), digests.get(4));
  }

  @Test
  void textsComeInManyFormats() throws IOException {
    List<String> out = new ArrayList<>();
    Path zipped = folder.resolve("texts.jsonl.gz");
    try (OutputStream gz = new GZIPOutputStream(Files.newOutputStream(zipped))) {
      gz.write(Files.readAllBytes(jsonLines()));
    }
    Path table = folder.resolve("texts.parquet");
    session
        .spark()
        .createDataset(texts(), Encoders.STRING())
        .toDF("text")
        .coalesce(1)
        .write()
        .parquet(table.toString());
    Path plain = Files.writeString(folder.resolve("texts.txt"), String.join("\n", texts()));
    for (Path path : List.of(zipped, table, plain)) {
      out.add(read(path).samples().size() + "+" + read(path).heldOut().size());
    }
    assertEquals("5+3", out.get(0));
    assertEquals("5+3", out.get(1));
    assertTrue(out.get(2).startsWith("5+"), out.get(2));
  }

  private static CalibrationTexts.Ids read(Path path) throws IOException {
    byte[] json = Files.readAllBytes(TestFiles.model().resolve("tokenizer.json"));
    try (var tokenizer = HuggingFaceTokenizer.open(json);
        Session opened = Session.open()) {
      return CalibrationTexts.read(
          opened, new QuantizeConfig.Samples(path.toString(), 5, 48), tokenizer);
    }
  }

  @Test
  void badTextsAreRefused() throws IOException {
    Path none = folder.resolve("none.jsonl");
    assertRefused(quantize(none, "--scheme=w8a8"), "--calibration: expected files, found none at");
    Path empty = Files.writeString(folder.resolve("empty.jsonl"), "");
    assertRefused(quantize(empty, "--scheme=w8a8"), "expected at least 2 texts of 32 tokens");
    Path short1 = Files.writeString(folder.resolve("short.jsonl"), "{\"text\":\"a\"}\n");
    assertRefused(quantize(short1, "--scheme=w8a8"), "expected at least 2 texts of 32 tokens");
    Path latin = folder.resolve("latin.txt");
    Files.write(latin, "né à Genève".repeat(99).getBytes(StandardCharsets.ISO_8859_1));
    assertRefused(quantize(latin, "--scheme=w8a8"), "--calibration: expected UTF-8");
    Path broken = Files.writeString(folder.resolve("broken.jsonl"), "{\"text\":\n");
    assertRefused(quantize(broken, "--scheme=w8a8"), "--calibration: line 1 is no JSON");
    Path other = Files.writeString(folder.resolve("other.jsonl"), "{\"prompt\":\"a\"}\n");
    assertRefused(quantize(other, "--scheme=w8a8"), "line 1: expected a text 'text'");
    Path noZip = Files.writeString(folder.resolve("no.jsonl.gz"), "text");
    assertRefused(quantize(noZip, "--scheme=w8a8"), "--calibration: cannot be read");
    Path noTable = folder.resolve("other.parquet");
    session.spark().sql("select 1 as id").write().parquet(noTable.toString());
    assertRefused(quantize(noTable, "--scheme=w8a8"), "text");
    assertFalse(Files.exists(folder.resolve("out")));
    try (Stream<Path> left = Files.list(folder)) {
      assertTrue(left.noneMatch(it -> it.toString().endsWith(".tmp")));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--scheme=w2a8                       | scheme must be one of w8a8, w4a8, w4a16, w4ax",
        "--scheme=w8a8 --samples=1           | --samples must be 2 or more, found 1",
        "--scheme=w8a8 --sample-tokens=8     | --sample-tokens must be 32 to 65536, found 8",
        "--scheme=w8a8 --embedding=i3        | --embedding must be one of f16, i8, i4, found i3",
        "--scheme=w8a8 --head=f8             | --head must be one of f16, i8, i4, found f8",
        "--scheme=w4ax --w4ax-budget=2       | --w4ax-budget must be 0 to 1, found 2.0",
        "--scheme=w8a8 --device=tpu          | --device must be cpu, found tpu"
      })
  void badFlagsAreRefused(String flags, String message) {
    List<String> arguments =
        new ArrayList<>(List.of("quantize", "--model=m", "--output=o", "--calibration=c"));
    arguments.addAll(List.of(flags.split(" +", -1)));
    assertRefused(JobRun.of(arguments.toArray(new String[0])), message);
  }

  private static void assertRefused(JobRun run, String message) {
    assertEquals(Main.REFUSED, run.exitCode(), run.err());
    assertTrue(run.err().contains(message), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
  }

  /** Scripts rest on these; a flag that is added belongs here too. */
  @Test
  void flagsAndDefaults() {
    Map<String, String> found = new TreeMap<>();
    CommandLine quantize = Main.commandLine().getSubcommands().get("quantize");
    quantize
        .getCommandSpec()
        .options()
        .forEach(
            option ->
                found.put(
                    option.longestName(),
                    option.defaultValue() == null ? "none" : option.defaultValue()));
    Map<String, String> expected = new TreeMap<>();
    for (String none :
        List.of(
            "--model",
            "--output",
            "--scheme",
            "--calibration",
            "--embedding",
            "--head",
            "--no-gptq",
            "--no-rotation",
            "--no-grouping",
            "--no-state-groups",
            "--static-state",
            "--help")) {
      expected.put(none, "none");
    }
    expected.putAll(
        Map.of(
            "--samples", "512",
            "--sample-tokens", "512",
            "--w4ax-budget", "0.25",
            "--seed", "0",
            "--device", "cpu"));
    assertEquals(expected, found);
  }
}
