package quamba.kernels.benchmark;

import java.io.PrintStream;
import java.util.Arrays;
import java.util.stream.IntStream;
import quamba.kernels.Batch;
import quamba.kernels.Oracle;
import quamba.kernels.Probe;
import quamba.kernels.Scan;
import quamba.kernels.Tensor;
import quamba.kernels.cpu.CpuBackend;

/** The recurrence of the small models, decoding many rows and reading one long one. */
final class BenchmarkScan {
  /** States of the layers that take turns, so that decoding finds them in memory, not in cache. */
  private static final long STATE_BYTES = 192L << 20;

  private static final Scan.Dims[] DIMS = {
    new Scan.Dims(16, 32, 64, 1),
    new Scan.Dims(16, 64, 128, 1),
    new Scan.Dims(24, 64, 128, 1),
    new Scan.Dims(512, 1, 16, 1),
    new Scan.Dims(1536, 1, 16, 1)
  };
  private static final int[] ROWS = {1, 8, 64, 256};
  private static final int PROMPT = 512;

  private BenchmarkScan() {}

  public static void main(String[] args) {
    Ceilings ceilings = Ceilings.measure(args);
    System.out.println(ceilings);
    for (Scan.Dims dims : DIMS) {
      for (int rows : ROWS) {
        int layers = (int) Math.max(1, STATE_BYTES / stateBytes(dims, rows));
        run(ceilings, new Load(dims, rows, 1, Math.min(layers, 400)), 40, System.out);
      }
      run(ceilings, new Load(dims, 1, PROMPT, 4), 40, System.out);
    }
  }

  /** Rows of as many tokens each, through layers that have a state each. */
  record Load(Scan.Dims dims, int rows, int tokens, int layers) {}

  static void run(Ceilings ceilings, Load load, int repetitions, PrintStream print) {
    try (CpuBackend backend = CpuBackend.open(ceilings.threads())) {
      Probe probe = new Probe(backend);
      Scan.Dims dims = load.dims();
      int all = load.rows() * load.tokens();
      boolean perState = dims.headDim() == 1;
      float[] a = Probe.random(1, dims.heads() * (perState ? dims.stateDim() : 1));
      for (int i = 0; i < a.length; i++) {
        a[i] -= 1.5f;
      }
      float[] ones = new float[dims.heads()];
      Arrays.fill(ones, 1);
      Tensor decay =
          perState ? probe.floats(a, dims.heads(), dims.stateDim()) : probe.floats(a, dims.heads());
      Tensor one = probe.floats(ones, dims.heads());
      Scan scan = new Scan(decay, one, one, dims, Scan.Limit.NONE);
      Oracle.ScanInputs inputs =
          new Oracle.ScanInputs(
              Probe.random(2, all * dims.innerDim()),
              Probe.random(3, all * dims.heads()),
              Probe.random(4, all * dims.groups() * dims.stateDim()),
              Probe.random(5, all * dims.groups() * dims.stateDim()));
      Tensor x = probe.floats(inputs.x(), all, dims.innerDim());
      Tensor dt = probe.floats(inputs.dt(), all, dims.heads());
      Tensor b = probe.floats(inputs.b(), all, dims.groups() * dims.stateDim());
      Tensor c = probe.floats(inputs.c(), all, dims.groups() * dims.stateDim());
      Tensor y = probe.zeros(all, dims.innerDim());
      Tensor[] states = new Tensor[load.layers()];
      Arrays.setAll(
          states, layer -> probe.zeros(load.rows(), dims.heads(), dims.headDim(), dims.stateDim()));
      int[] slots = IntStream.range(0, load.rows()).toArray();
      int[] counts = new int[load.rows()];
      Arrays.fill(counts, load.tokens());
      Batch first = probe.batch(slots, counts, new int[load.rows()]);
      Batch later = probe.batch(slots, counts, counts);
      backend.scan(scan, first, x, dt, b, c, states[0], y);
      Oracle.ScanWeights weights = new Oracle.ScanWeights(a, ones, ones);
      check(weights, load, inputs, probe.floats(y));
      Runnable layers =
          () -> {
            for (Tensor state : states) {
              backend.scan(scan, later, x, dt, b, c, state, y);
            }
          };
      layers.run();
      double seconds = Ceilings.best(repetitions, layers) / load.layers();
      // Decay, input and output; exp for each state takes 11 multiply-adds more.
      double work = (perState ? 14.0 : 3.0) * all * dims.innerDim() * dims.stateDim();
      double bytes = 2.0 * stateBytes(dims, load.rows());
      print.println(ceilings.report(name(load), seconds, work, bytes));
    }
  }

  private static void check(
      Oracle.ScanWeights weights, Load load, Oracle.ScanInputs inputs, float[] y) {
    Scan.Dims dims = load.dims();
    int tokens = load.tokens();
    int bc = tokens * dims.groups() * dims.stateDim();
    Oracle.ScanInputs row =
        new Oracle.ScanInputs(
            Arrays.copyOf(inputs.x(), tokens * dims.innerDim()),
            Arrays.copyOf(inputs.dt(), tokens * dims.heads()),
            Arrays.copyOf(inputs.b(), bc),
            Arrays.copyOf(inputs.c(), bc));
    double[] expected = Oracle.scan(weights, dims, Scan.Limit.NONE, row);
    // As in ScanContract: states below 6, about 32 roundings a term, stateDim terms.
    double tolerance = 6 * (32 + Math.sqrt(dims.stateDim())) * 0x1p-24 * (dims.stateDim() + 1);
    Probe.assertClose(expected, Arrays.copyOf(y, expected.length), tolerance);
  }

  private static String name(Load load) {
    Scan.Dims dims = load.dims();
    return "scan %dx%dx%d, %d rows x %d"
        .formatted(dims.heads(), dims.headDim(), dims.stateDim(), load.rows(), load.tokens());
  }

  private static long stateBytes(Scan.Dims dims, int rows) {
    return (long) rows * dims.innerDim() * dims.stateDim() * Float.BYTES;
  }
}
