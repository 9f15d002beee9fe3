package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** The benchmark runs at a tiny size; times are not looked at. */
final class BenchmarkPackingTest {
  @Test
  void runs() {
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    BenchmarkPacking.run(20, 130, 2, new PrintStream(printed, true, StandardCharsets.UTF_8));
    String line = printed.toString(StandardCharsets.UTF_8);
    assertTrue(line.contains("packing (20, 130)") && line.contains("8-bit order"), line);
  }
}
