package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import quamba.job.JobConfig.Delivery;
import quamba.udf.model.StateFormat;

class EvaluateConfigTest {
  private static EvaluateConfig parse(String... more) {
    EvaluateFlags flags = new EvaluateFlags();
    CommandSpec spec =
        CommandSpec.create().addMixin("flags", CommandSpec.forAnnotatedObject(flags));
    new CommandLine(spec)
        .parseArgs(Stream.concat(Stream.of("--model=m"), Stream.of(more)).toArray(String[]::new));
    return flags.config();
  }

  /** Scripts rest on these; a flag that is added belongs here too. */
  @Test
  void flagsAndDefaults() {
    Map<String, String> expected = new TreeMap<>();
    for (String none :
        List.of("--model", "--reference", "--text", "--task", "--limit", "--json", "--help")) {
      expected.put(none, "none");
    }
    expected.putAll(
        Map.of(
            "--window",
            "1024",
            "--device",
            "cpu",
            "--gate",
            "",
            "--state",
            "f32",
            "--weights",
            "broadcast"));
    Map<String, String> found = new TreeMap<>();
    CommandLine evaluate = Main.commandLine().getSubcommands().get("evaluate");
    evaluate
        .getCommandSpec()
        .options()
        .forEach(
            option ->
                found.put(
                    option.longestName(),
                    option.defaultValue() == null ? "none" : option.defaultValue()));
    assertEquals(expected, found);
    String help = evaluate.getUsageMessage();
    found.keySet().forEach(flag -> assertTrue(help.contains(flag), flag));
  }

  @Test
  void leastIsEnough() {
    EvaluateConfig config = parse("--text=a.txt");
    assertEquals(Path.of("m"), config.model());
    assertEquals(Optional.empty(), config.reference());
    assertEquals(
        new EvaluateConfig.Subjects(List.of("a.txt"), Map.of(), 1024, OptionalInt.empty()),
        config.subjects());
    assertEquals(
        new JobConfig.Execution("cpu", OptionalInt.empty(), StateFormat.F32, Delivery.BROADCAST),
        config.execution());
    assertEquals(
        new EvaluateConfig.Verdict(Optional.empty(), new Gate(List.of())), config.verdict());
  }

  @Test
  void everyFlagHasItsPlace() {
    EvaluateConfig config =
        parse(
            "--reference=r",
            "--text=a.txt",
            "--text=b.txt.gz",
            "--task=piqa=p=1.jsonl",
            "--task=lambada=l.jsonl",
            "--window=64",
            "--limit=3",
            "--device=cuda",
            "--json=found.json",
            "--gate=kl<=0.02,agreement>0.9,nll<1.1x,perplexity<9,lambada>=0.98x,piqa.acc_norm>0",
            "--state=i8-static",
            "--weights=path");
    assertEquals(Path.of("r"), config.reference().orElseThrow());
    assertEquals(
        new EvaluateConfig.Subjects(
            List.of("a.txt", "b.txt.gz"),
            Map.of("piqa", "p=1.jsonl", "lambada", "l.jsonl"),
            64,
            OptionalInt.of(3)),
        config.subjects());
    assertEquals(List.of("piqa", "lambada"), List.copyOf(config.subjects().tasks().keySet()));
    assertEquals(
        new JobConfig.Execution("cuda", OptionalInt.empty(), StateFormat.I8_STATIC, Delivery.PATH),
        config.execution());
    assertEquals(Path.of("found.json"), config.verdict().json().orElseThrow());
    assertEquals(6, config.verdict().gate().clauses().size());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--limit=1      | expected --text or --task, found neither",
        "--text=a --json=/ | --json: expected a file, found the folder /",
        "--text=a --text=a | --text: expected different files, found one twice",
        "--task=piqa    | --task: expected NAME=FILE, found 'piqa'",
        "--task==f      | --task: expected NAME=FILE, found '=f'",
        "--task=p=      | --task: expected NAME=FILE, found 'p='",
        "--task=p=f --task=p=g | --task: expected different names, found 'p' twice",
        "--task=kl=f    | --task: expected a name of letters, digits, _ and - that is no metric's,"
            + " found 'kl'",
        "--text=a --window=1 | --window must be 2 or more, found 1",
        "--text=a --limit=0  | --limit must be 1 or more, found 0",
        "--text=a --device=tpu | --device must be cpu or cuda, found tpu",
        "--text=a --weights=mail | --weights: expected broadcast or path, found mail",
        "--text=a --gate=kl<1 | --gate: kl<1: expected one of nll, perplexity, found 'kl'",
        "--task=p=f --gate=nll<1 | --gate: nll<1: expected one of p, p.acc_norm, found 'nll'",
        "--text=a --gate=nll<1x | --gate: nll<1x: a bound with x needs --reference and a metric"
            + " that it has, too",
        "--text=a --reference=r --gate=kl<1x | --gate: kl<1x: a bound with x needs --reference"
            + " and a metric that it has, too",
      })
  void refuses(String flags, String message) {
    IllegalArgumentException refusal =
        assertThrows(IllegalArgumentException.class, () -> parse(flags.split(" ")));
    assertEquals(message, refusal.getMessage());
  }
}
