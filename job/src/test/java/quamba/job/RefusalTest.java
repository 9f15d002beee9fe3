package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.udf.Backends;

/** What a job does not do: one line for people, an exit code, and nothing written. */
class RefusalTest {
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

  private Path file(String name, String... lines) throws IOException {
    return Files.writeString(folder.resolve(name), String.join("\n", lines));
  }

  @Test
  void whatIsThereDecides() throws IOException {
    Path input = file("in.jsonl", "{\"id\":1,\"prompt\":\"a\"}");
    Files.createDirectories(output);
    Path foreign = Files.writeString(output.resolve("thesis.txt"), "mine");
    assertRefused(run(input, "--prompt-column=prompt", "--overwrite"), "found other files");
    Files.delete(foreign);
    assertEquals(Main.OK, run(input, "--prompt-column=prompt").exitCode());
    assertRefused(
        run(input, "--prompt-column=prompt", "--seed=1"), "sampling was Sampling[temperature=0.0");
    JobRun overwritten = run(input, "--prompt-column=prompt", "--seed=1", "--overwrite");
    assertEquals(Main.OK, overwritten.exitCode(), overwritten.err());
    assertEquals(1, ParquetRows.read(output).rows().size());
    // As a killed run leaves it.
    Files.delete(output.resolve("_SUCCESS"));
    Files.createDirectories(output.resolve("_temporary/0"));
    String driver = InetAddress.getLocalHost().getHostName() + " " + ProcessHandle.current().pid();
    Files.writeString(output.resolve("_quamba.lease"), driver + " 1 an-earlier-process 3");
    JobRun again = run(input, "--prompt-column=prompt", "--seed=1");
    assertEquals(Main.OK, again.exitCode(), again.err());
    assertFalse(again.out().contains("already"));
    assertEquals(1, ParquetRows.read(output).rows().size());
    assertFalse(Files.exists(output.resolve("_temporary")));
    assertFalse(Files.exists(output.resolve("_quamba.lease")));
    assertRefused(
        JobRun.generate(
            List.of("--input=" + output, "--output=" + output, "--input-format=parquet"),
            "--prompt-column=prompt",
            "--overwrite"),
        "another folder than the input's");
  }

  private static void assertRefused(JobRun run, String message) {
    assertEquals(Main.REFUSED, run.exitCode(), run.err());
    assertTrue(run.err().contains(message), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
  }

  @Test
  void badInputIsRefusedBeforeAnythingIsWritten() throws IOException {
    Path jsonl = file("in.jsonl", "{\"id\":1,\"prompt\":\"a\",\"generation\":2,\"list\":[1]}");
    assertRefused(
        run(jsonl, "--prompt-column=prompt"), "the input has a column 'generation' already");
    assertRefused(
        run(jsonl, "--prompt-column=text", "--output-column=g"),
        "--prompt-column: the input has no column 'text'; it has: generation, id, list, prompt");
    assertRefused(
        run(jsonl, "--template={nope}", "--output-column=g"),
        "--template: the input has no column");
    assertRefused(
        run(jsonl, "--prompt-column=prompt", "--key=k", "--output-column=g"),
        "--key: the input has no column 'k'");
    assertRefused(run(folder.resolve("nothing.jsonl"), "--prompt-column=prompt"), "found none at");
    Path table = folder.resolve("in.parquet");
    session.spark().sql("select 1 as id, 'a' as prompt").write().parquet(table.toString());
    assertRefused(
        run(table, "--prompt-column=id"),
        "--prompt-column: expected a column of texts, found 'id' of type int");
    assertRefused(
        run(file("no.parquet", "not a Parquet file"), "--prompt-column=prompt"),
        "quamba generate:");
    Path one = file("one.csv", "id,prompt", "1,a");
    Path two = file("two.csv", "prompt,id", "b,2");
    assertRefused(run(Path.of(one + "," + two), "--prompt-column=prompt"), "CSV header");
    Path cut = Files.write(folder.resolve("cut.jsonl.gz"), new byte[] {31, (byte) 139, 8, 0, 0});
    assertRefused(run(cut, "--prompt-column=prompt"), "--input: cannot be read");
    assertFalse(Files.exists(output));
  }

  @Test
  void missingGpuIsRefusedBeforeAnythingIsWritten() throws IOException {
    Assumptions.assumeFalse(hasGpu(), "this machine has a GPU");
    Path jsonl = file("in.jsonl", "{\"id\":1,\"prompt\":\"a\"}");
    String refusal = "--device cuda: no CUDA device";
    assertRefused(run(jsonl, "--prompt-column=prompt", "--device=cuda"), refusal);
    assertFalse(Files.exists(output));
    Path text = file("text.txt", "A text. ".repeat(50));
    assertRefused(
        JobRun.of(
            "evaluate",
            "--model=" + TestFiles.model(),
            "--text=" + text,
            "--window=16",
            "--device=cuda"),
        refusal);
  }

  private static boolean hasGpu() {
    try {
      Backends.require("cuda");
      return true;
    } catch (IllegalArgumentException none) {
      return false;
    }
  }

  @Test
  void badFlagsAndCheckpointsAreRefused() {
    assertRefused(JobRun.of("generate", "--no-such-flag"), "unknown: --no-such-flag");
    assertRefused(JobRun.of("unheard-of"), "unheard-of");
    assertRefused(JobRun.of(), "Missing required subcommand");
    assertRefused(
        JobRun.of(
            "generate",
            "--model=" + folder.resolve("none"),
            "--input=x.jsonl",
            "--output=" + output,
            "--prompt-column=prompt"),
        "expected a folder, found none");
    assertEquals(Main.OK, JobRun.of("generate", "--help").exitCode());
  }
}
