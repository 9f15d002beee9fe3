package quamba.kernels.benchmark;

import java.io.PrintStream;
import quamba.kernels.Linear;
import quamba.kernels.Oracle;
import quamba.kernels.Probe;
import quamba.kernels.Tensor;
import quamba.kernels.cpu.CpuBackend;

/** Matrix products of the small models' sizes. */
final class BenchmarkLinear {
  private static final int[][] WEIGHTS = {
    {256, 1168}, {512, 256}, {256, 8192}, {512, 2320}, {1024, 512}, {512, 8192}, {768, 3352}
  };
  private static final int[] ROWS = {1, 2, 8, 64, 256, 512};

  private BenchmarkLinear() {}

  public static void main(String[] args) {
    Ceilings ceilings = Ceilings.measure(args);
    System.out.println(ceilings);
    for (int[] weight : WEIGHTS) {
      for (int rows : ROWS) {
        int repetitions = (int) (3e9 / rows / weight[0] / weight[1]) + 100;
        run(ceilings, new Product(rows, weight[0], weight[1]), repetitions, System.out);
      }
    }
  }

  /** Extents of {@code x (rows, in) · weight (out, in)ᵀ}. */
  record Product(int rows, int in, int out) {}

  static void run(Ceilings ceilings, Product size, int repetitions, PrintStream print) {
    try (CpuBackend backend = CpuBackend.open(ceilings.threads())) {
      Probe probe = new Probe(backend);
      float[] x = Probe.random(1, size.rows() * size.in());
      float[] weight = Probe.random(2, size.out() * size.in(), 1f / size.in());
      Tensor xs = probe.floats(x, size.rows(), size.in());
      Tensor y = probe.zeros(size.rows(), size.out());
      Linear linear = new Linear(probe.packed(weight, size.out(), size.in()));
      double seconds = Ceilings.best(repetitions, () -> backend.linear(linear, xs, y));
      double[] expected = Oracle.linear(x, weight, size.rows(), size.in(), size.out());
      Probe.assertClose(expected, probe.floats(y), size.in() * 0x1p-24);
      double work = (double) size.rows() * size.in() * size.out();
      double bytes = Float.BYTES * ((double) size.out() * size.in() + x.length + expected.length);
      print.println(ceilings.report("linear " + size, seconds, work, bytes));
    }
  }
}
