package quamba.udf.benchmark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.udf.model.Sampling;

/** The benchmark runs at a tiny size; times are not looked at. */
final class BenchmarkEngineTest {
  private static String run(Path json, String... more) {
    String[] args = {
      "--models", "mamba2-tiny,mamba1-tiny", "--threads", "1", "--rows", "1,5", "--warm", "0",
      "--blocks", "2", "--steps", "17", "--prefill", "2x20,3x5-40", "--prefill-runs", "1",
      "--step-tokens", "32", "--json", json.toString()
    };
    String[] all = Arrays.copyOf(args, args.length + more.length);
    System.arraycopy(more, 0, all, args.length, more.length);
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    BenchmarkEngine.run(
        new EngineOptions(all), new PrintStream(printed, true, StandardCharsets.UTF_8));
    return printed.toString(StandardCharsets.UTF_8);
  }

  @Test
  void everyCaseIsReported(@TempDir Path folder) throws IOException {
    Path json = folder.resolve("cases.jsonl");
    String printed =
        run(json, "--schemes", "w4a8,w8a8", "--copy-gbs", "4300", "--int8-tops", "1400");
    assertTrue(printed.contains("decode sampled") && printed.contains("prefill 3x5-40"), printed);
    List<String> lines = Files.readAllLines(json);
    assertEquals(2 * 2 * (2 * 2 + 2), lines.size(), printed);
    for (String line : lines) {
      JsonNode found = new ObjectMapper().readTree(line);
      assertTrue(found.get("ms").asDouble() > 0, line);
      double overlap = found.get("overlap_ms").asDouble();
      assertTrue(found.get("serial_ms").asDouble() > 0.999 * overlap, line);
    }
  }

  @Test
  void whatIsNotKnownIsLeftOut(@TempDir Path folder) throws IOException {
    Path json = folder.resolve("cases.jsonl");
    run(json, "--models", "mamba2-tiny", "--schemes", "w4a16", "--sampling", "greedy");
    JsonNode found = new ObjectMapper().readTree(Files.readAllLines(json).get(0));
    assertTrue(found.has("ms") && !found.has("serial_ms"), found.toString());
  }

  @Test
  void nothingIsMeasuredWithoutTime(@TempDir Path folder) {
    String printed = run(folder.resolve("none"), "--budget", "0");
    assertTrue(printed.contains("mamba2-tiny w4a8 skipped"), printed);
  }

  @Test
  void optionsAreChecked() {
    assertThrows(IllegalArgumentException.class, () -> new EngineOptions("--row", "1"));
    assertThrows(IllegalArgumentException.class, () -> new EngineOptions("--rows"));
    EngineOptions options = new EngineOptions("--sampling", "greedy", "--prefill", "none");
    assertEquals(Sampling.GREEDY, options.sampling(options.samplings().get(0)));
    assertEquals(List.of(), options.prefills());
    int[] lengths = options.lengths("32x64-1024");
    assertArrayEquals(lengths, options.lengths("32x64-1024"));
    assertEquals(32, lengths.length);
    assertTrue(Arrays.stream(lengths).allMatch(length -> length >= 64 && length <= 1024));
    assertArrayEquals(new int[] {7, 7}, options.lengths("2x7"));
  }
}
