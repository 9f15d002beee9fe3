package quamba.udf.benchmark;

import java.nio.IntBuffer;
import java.nio.file.Path;
import java.util.Locale;
import quamba.kernels.Scan;
import quamba.kernels.benchmark.Ceilings;
import quamba.udf.Backends;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.Sampling;
import quamba.udf.model.Step;

/**
 * Decoding and prefill of a checkpoint on the CPU backend, against the rates of multiply-adds and
 * of copying that the machine reaches in the same run.
 *
 * <p>Arguments: the checkpoint's folder, threads (all), seconds a case (3).
 */
public final class BenchmarkModel {
  private static final int[] ROWS = {1, 8, 64, 256};
  private static final int[][] PROMPTS = {{1, 512}, {8, 512}, {64, 64}}; // rows, tokens a row

  private final ModelConfig config;
  private final Ceilings ceilings;
  private final double seconds;

  private BenchmarkModel(ModelConfig config, Ceilings ceilings, double seconds) {
    this.config = config;
    this.ceilings = ceilings;
    this.seconds = seconds;
  }

  public static void main(String[] args) {
    int threads =
        args.length > 1 ? Integer.parseInt(args[1]) : Runtime.getRuntime().availableProcessors();
    double seconds = args.length > 2 ? Double.parseDouble(args[2]) : 3;
    run(Path.of(args[0]), threads, seconds, Ceilings.Effort.FULL);
  }

  /** Prints the table. */
  static void run(Path folder, int threads, double seconds, Ceilings.Effort effort) {
    Ceilings ceilings = Ceilings.measure(threads, effort);
    System.out.println(folder.getFileName() + ": " + ceilings);
    System.out.println(
        "case              rows tokens   ms/step      tok/s  Gmadd/s   GB/s  share of binding ceiling");
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      for (int rows : ROWS) {
        try (MambaModel model = open(checkpoint, threads, new Capacity(rows, rows))) {
          new BenchmarkModel(model.config(), ceilings, seconds).decode(model);
        }
      }
      for (int[] prompt : PROMPTS) {
        Capacity capacity = new Capacity(prompt[0], prompt[0] * prompt[1]);
        try (MambaModel model = open(checkpoint, threads, capacity)) {
          new BenchmarkModel(model.config(), ceilings, seconds).prefill(model, prompt[1]);
        }
      }
    }
  }

  private static MambaModel open(Checkpoint checkpoint, int threads, Capacity capacity) {
    int vocab = ModelConfig.parse(checkpoint.config()).vocabulary().size();
    return ModelLoader.open(checkpoint, Backends.open("cpu", threads), capacity, vocab);
  }

  private void decode(MambaModel model) {
    int rows = model.slots();
    Step step = Step.allocate(rows, rows);
    int[] ids = new int[rows];
    int[] position = {0};
    for (int row = 0; row < rows; row++) {
      model.start(row, Sampling.GREEDY, row);
      ids[row] = 2 + row;
    }
    double best =
        best(
            () -> {
              step.clear();
              for (int row = 0; row < rows; row++) {
                step.addSampled(row, position[0], IntBuffer.wrap(ids, row, 1));
              }
              model.step(step);
              for (int row = 0; row < rows; row++) {
                ids[row] = step.sampled(row);
              }
              position[0]++;
            });
    report("decode", rows, 1, best);
  }

  private void prefill(MambaModel model, int tokens) {
    int rows = model.slots();
    Step step = Step.allocate(rows, rows * tokens);
    int[] ids = new int[tokens];
    for (int token = 0; token < tokens; token++) {
      ids[token] = 2 + token * 7 % 1000;
    }
    for (int row = 0; row < rows; row++) {
      model.start(row, Sampling.GREEDY, row);
    }
    double best =
        best(
            () -> {
              step.clear();
              for (int row = 0; row < rows; row++) {
                step.addSampled(row, 0, IntBuffer.wrap(ids));
              }
              model.step(step);
            });
    report("prefill", rows, tokens, best);
  }

  /** The least time of a run, as the ceilings are the most that was seen. */
  private double best(Runnable work) {
    double best = Double.POSITIVE_INFINITY;
    long end = System.nanoTime() + (long) (seconds * 1e9);
    do {
      long start = System.nanoTime();
      work.run();
      best = Math.min(best, (System.nanoTime() - start) / 1e9);
    } while (System.nanoTime() < end);
    return best;
  }

  private void report(String name, int rows, int tokens, double step) {
    double all = (double) rows * tokens;
    double weights = layerWeights();
    double multiplyAdds = all * weights + rows * headWeights() + all * 3 * stateElements();
    double bytes = Float.BYTES * (weights + headWeights() + 2.0 * rows * stateElements());
    System.out.printf(
        Locale.ROOT,
        "%-16s %5d %6d %9.3f %10.0f %8.1f %6.1f  %.0f %%%n",
        name,
        rows,
        tokens,
        step * 1e3,
        all / step,
        multiplyAdds / step / 1e9,
        bytes / step / 1e9,
        100 * ceilings.seconds(multiplyAdds, bytes) / step);
  }

  /** Weights that every token meets: in_proj, out_proj, and Mamba1's x_proj and dt_proj. */
  private double layerWeights() {
    double modelDim = config.modelDim();
    double inner = config.mixer().innerDim();
    double weights = modelDim * (config.mixer().projected() + inner);
    if (config.mixer() instanceof ModelConfig.Mamba1 mamba1) {
      weights += inner * mamba1.selected() + mamba1.dtRank() * inner;
    }
    return config.layers() * weights;
  }

  private double headWeights() {
    return (double) config.modelDim() * config.vocabulary().size();
  }

  /** State elements of a row; each costs three multiply-adds a token: decay, input, output. */
  private double stateElements() {
    Scan.Dims dims = config.mixer().dims();
    return (double) config.layers() * dims.innerDim() * dims.stateDim();
  }
}
