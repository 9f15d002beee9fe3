package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.udf.SharedFiles;

class NastyInputTest {
  private static SparkSession spark;
  @TempDir Path folder;

  @BeforeAll
  static void start() {
    spark =
        SparkSession.builder()
            .master("local[2]")
            .config("spark.plugins", "quamba.udf.ModelPlugin")
            .config("spark.ui.enabled", "false")
            .getOrCreate();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  @Test
  void nasty() {
    Path output = folder.resolve("out");
    long t = System.nanoTime();
    JobRun run =
        JobRun.generate(
            "--input",
            SharedFiles.shared("data/prompts/nasty.jsonl").toString(),
            "--prompt-column",
            "prompt",
            "--output",
            output.toString(),
            "--format",
            "json",
            "--max-tokens",
            "4",
            "--max-prompt-tokens",
            "2048");
    System.out.println(run + " " + (System.nanoTime() - t) / 1e9);
    assertEquals(0, run.exitCode(), run.err());
    List<JsonNode> rows = TestFiles.rows(output);
    for (JsonNode row : rows) {
      String text = row.path("generation_error").toString();
      System.out.println(
          row.path("why")
              + " "
              + text
              + " "
              + row.path("generation_meta")
              + row.path("generation"));
    }
    assertEquals(147, rows.size());
  }

  @Test
  void keys() {
    Path output = folder.resolve("out");
    JobRun run =
        JobRun.generate(
            "--input",
            SharedFiles.shared("data/prompts/nasty_keys.jsonl").toString(),
            "--prompt-column",
            "prompt",
            "--output",
            output.toString(),
            "--format",
            "json",
            "--max-tokens",
            "4",
            "--max-prompt-tokens",
            "2048",
            "--key",
            "id");
    System.out.println(run);
    assertEquals(0, run.exitCode(), run.err());
    List<JsonNode> rows = TestFiles.rows(output);
    rows.forEach(System.out::println);
    assertEquals(13, rows.size());
  }
}
