package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import quamba.job.JobConfig.Delivery;
import quamba.job.JobConfig.Format;
import quamba.udf.PartitionTask.PromptColumn;
import quamba.udf.PartitionTask.Template;
import quamba.udf.model.Sampling;
import quamba.udf.model.StateFormat;

class JobConfigTest {
  private static final List<String> LEAST =
      List.of("--model=m", "--input=in.jsonl", "--output=out", "--prompt-column=prompt");

  private static JobConfig parse(String... more) {
    GenerateFlags flags = new GenerateFlags();
    CommandSpec spec =
        CommandSpec.create().addMixin("flags", CommandSpec.forAnnotatedObject(flags));
    new CommandLine(spec)
        .setOverwrittenOptionsAllowed(true)
        .parseArgs(Stream.concat(LEAST.stream(), Stream.of(more)).toArray(String[]::new));
    return flags.config();
  }

  /** Scripts rest on these; a flag that is added belongs here too. */
  @Test
  void flagsAndDefaults() {
    Map<String, String> expected = new TreeMap<>();
    for (String none :
        List.of(
            "--model",
            "--input",
            "--input-format",
            "--output",
            "--prompt-column",
            "--template",
            "--key",
            "--max-prompt-tokens",
            "--stop",
            "--slots",
            "--overwrite",
            "--sort-by-key",
            "--help")) {
      expected.put(none, "none");
    }
    expected.putAll(
        Map.of(
            "--format", "parquet",
            "--output-column", "generation",
            "--max-tokens", "128",
            "--temperature", "0",
            "--top-k", "0",
            "--top-p", "1",
            "--min-p", "0",
            "--repetition-penalty", "1",
            "--seed", "0",
            "--device", "cpu"));
    expected.put("--state", "f32");
    expected.put("--weights", "broadcast");
    expected.put("--max-error-fraction", "1.0");
    Map<String, String> found = new TreeMap<>();
    CommandLine generate = Main.commandLine().getSubcommands().get("generate");
    generate
        .getCommandSpec()
        .options()
        .forEach(
            option ->
                found.put(
                    option.longestName(),
                    option.defaultValue() == null ? "none" : option.defaultValue()));
    assertEquals(expected, found);
    String help = generate.getUsageMessage();
    found.keySet().forEach(flag -> assertTrue(help.contains(flag), flag));
  }

  @Test
  void leastIsEnough() {
    JobConfig config = parse();
    assertEquals(Path.of("m"), config.model());
    assertEquals(Format.JSON, config.input().format());
    assertEquals(new PromptColumn("prompt"), config.input().prompting());
    assertTrue(config.input().key().isEmpty());
    assertEquals(Format.PARQUET, config.output().format());
    assertEquals(
        List.of("generation", "generation_error", "generation_meta"), config.output().columns());
    assertEquals(new JobConfig.Writing(false, false, 1.0), config.output().writing());
    assertEquals(Sampling.GREEDY, config.defaults().sampling());
    assertEquals(128, config.defaults().limits().maxTokens());
    assertEquals(List.of(), config.defaults().limits().stop());
    assertEquals(Integer.MAX_VALUE, config.defaults().maxPromptTokens());
    assertEquals(
        new JobConfig.Execution("cpu", OptionalInt.empty(), StateFormat.F32, Delivery.BROADCAST),
        config.execution());
  }

  @Test
  void everyFlagHasItsPlace() {
    JobConfig config =
        parse(
            "--input-format=csv",
            "--format=json",
            "--key=id",
            "--output-column=answer",
            "--max-tokens=7",
            "--max-prompt-tokens=9",
            "--temperature=0.5",
            "--top-k=3",
            "--top-p=0.9",
            "--min-p=0.1",
            "--repetition-penalty=1.5",
            "--seed=-1",
            "--stop=a",
            "--stop=@b",
            "--device=cuda",
            "--slots=5",
            "--state=i8",
            "--weights=path",
            "--max-error-fraction=0.25",
            "--overwrite",
            "--sort-by-key");
    assertEquals(Format.CSV, config.input().format());
    assertEquals("id", config.input().key().orElseThrow());
    assertEquals(Format.JSON, config.output().format());
    assertEquals("answer", config.output().column());
    assertEquals(new JobConfig.Writing(true, true, 0.25), config.output().writing());
    assertEquals(new Sampling(0.5f, 3, 0.9f, 0.1f, 1.5f, -1), config.defaults().sampling());
    assertEquals(7, config.defaults().limits().maxTokens());
    assertEquals(List.of("a", "@b"), config.defaults().limits().stop());
    assertEquals(9, config.defaults().maxPromptTokens());
    assertEquals(
        new JobConfig.Execution("cuda", OptionalInt.of(5), StateFormat.I8, Delivery.PATH),
        config.execution());
  }

  @Test
  void severalInputsOfOneFormat() {
    assertEquals(
        List.of("in.jsonl", "a.json", "b.jsonl.gz"),
        parse("--input=a.json,b.jsonl.gz").input().paths());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--temperature=-1        | temperature must be 0 to 100, found -1.0",
        "--top-p=0               | top_p must be over 0 and at most 1, found 0.0",
        "--max-tokens=0          | max_tokens must be 1 or more, found 0",
        "--max-prompt-tokens=0   | --max-prompt-tokens must be 1 or more, found 0",
        "--slots=0               | --slots must be 1 or more, found 0",
        "--device=tpu            | --device must be cpu or cuda, found tpu",
        "--weights=mail          | --weights: expected broadcast or path, found mail",
        "--max-error-fraction=2  | --max-error-fraction must be 0 to 1, found 2.0",
        "--format=csv            | --format: expected parquet, json, found csv",
        "--format=arrow          | --format arrow: not supported yet, use parquet, json",
        "--input-format=orc      | --input-format orc: not supported yet, use parquet, json, csv",
        "--template={a}          | expected --prompt-column or --template, found both",
        "--output-column=        | --output-column: expected a name, found an empty one",
        "--stop=                 | stop must not hold an empty text",
      })
  void refuses(String flag, String message) {
    IllegalArgumentException refusal =
        assertThrows(IllegalArgumentException.class, () -> parse(flag));
    assertEquals(message, refusal.getMessage());
  }

  @ParameterizedTest
  @CsvSource({
    "x.parquet, PARQUET",
    "hdfs://host/dir/x.PARQUET/, PARQUET",
    "x.jsonl, JSON",
    "x.json.gz, JSON",
    "x.ndjson.bz2, JSON",
    "x.csv, CSV",
  })
  void extensionsSayTheFormat(String path, Format format) {
    assertEquals(format, JobConfig.Input.guess(List.of(path)));
  }

  @Test
  void mixedExtensionsSayNothing() {
    assertThrows(
        IllegalArgumentException.class, () -> JobConfig.Input.guess(List.of("x.csv", "x.parquet")));
    assertThrows(IllegalArgumentException.class, () -> JobConfig.Input.guess(List.of("folder")));
  }

  @Test
  void templatesNameColumns() {
    assertEquals(List.of("a", "b"), new Template("{a} and {b}").columns());
    assertThrows(IllegalArgumentException.class, () -> new Template("no column"));
  }
}
