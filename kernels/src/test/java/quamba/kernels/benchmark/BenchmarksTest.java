package quamba.kernels.benchmark;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import quamba.kernels.Scan;

/** Each benchmark runs at a tiny size and checks its own result; times are not looked at. */
final class BenchmarksTest {
  private final Ceilings ceilings = Ceilings.measure(2, Ceilings.Effort.SMOKE);
  private final ByteArrayOutputStream printed = new ByteArrayOutputStream();
  private final PrintStream print = new PrintStream(printed, true, StandardCharsets.UTF_8);

  @Test
  void ceilingsArePositive() {
    assertTrue(ceilings.multiplyAdds() > 0 && ceilings.copiedBytes() > 0, ceilings.toString());
  }

  @Test
  void linearRuns() {
    BenchmarkLinear.run(ceilings, new BenchmarkLinear.Product(3, 20, 40), 2, print);
    assertReported("linear");
  }

  @Test
  void scanRuns() {
    Scan.Dims dims = new Scan.Dims(2, 32, 8, 1);
    BenchmarkScan.run(ceilings, new BenchmarkScan.Load(dims, 2, 3, 2), 2, print);
    assertReported("scan");
  }

  private void assertReported(String operation) {
    String line = printed.toString(StandardCharsets.UTF_8);
    assertTrue(line.contains(operation) && line.contains("of ceiling"), line);
  }
}
