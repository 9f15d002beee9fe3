package quamba.kernels.benchmark;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * What this machine can do at best, with all of {@code threads} at work.
 *
 * @param threads threads that were measured
 * @param multiplyAdds f32 multiply-adds a second, operands in registers
 * @param copiedBytes bytes read plus bytes written a second by a copy larger than the caches
 */
record Ceilings(int threads, double multiplyAdds, double copiedBytes) {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int ACCUMULATORS = 12;

  /** How much to do: loop length, floats to copy, repetitions of which the best counts. */
  record Effort(int loops, int floats, int repetitions) {
    static final Effort FULL = new Effort(500_000, 16 << 20, 40);
    static final Effort SMOKE = new Effort(1000, 1000, 2);
  }

  /** Measures both. */
  static Ceilings measure(int threads, Effort effort) {
    double multiplyAdds = 0;
    double copiedBytes = 0;
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      float[][] from = new float[threads][effort.floats()];
      float[][] to = new float[threads][effort.floats()];
      for (int i = 0; i < effort.repetitions(); i++) {
        double fused = seconds(pool, threads, thread -> () -> consume(fuse(effort.loops())));
        double work = (double) threads * effort.loops() * ACCUMULATORS * SPECIES.length();
        multiplyAdds = Math.max(multiplyAdds, work / fused);
        double copied =
            seconds(
                pool, threads, t -> () -> System.arraycopy(from[t], 0, to[t], 0, effort.floats()));
        double bytes = 2.0 * threads * effort.floats() * Float.BYTES;
        copiedBytes = Math.max(copiedBytes, bytes / copied);
      }
    } finally {
      pool.shutdown();
    }
    return new Ceilings(threads, multiplyAdds, copiedBytes);
  }

  /** The least time for this much work: the slower of computing and moving. */
  double seconds(double work, double bytes) {
    return Math.max(work / multiplyAdds, bytes / copiedBytes);
  }

  /** One line: time, rates, and the share of the binding ceiling. */
  String report(String name, double seconds, double work, double bytes) {
    String binding = work / multiplyAdds > bytes / copiedBytes ? "multiply-adds" : "bytes";
    return "%-44s %10.1f us %7.1f Gmadd/s %6.1f GB/s %4.0f %% of ceiling (%s)"
        .formatted(
            name,
            seconds * 1e6,
            work / seconds / 1e9,
            bytes / seconds / 1e9,
            100 * seconds(work, bytes) / seconds,
            binding);
  }

  @Override
  public String toString() {
    return "%d threads, %d lanes: %.1f Gmadd/s, copy %.1f GB/s"
        .formatted(threads, SPECIES.length(), multiplyAdds / 1e9, copiedBytes / 1e9);
  }

  public static void main(String[] args) {
    System.out.println(measure(args));
  }

  /** Measures both with as many threads as the first argument says, or as there are processors. */
  static Ceilings measure(String[] args) {
    int available = Runtime.getRuntime().availableProcessors();
    return measure(args.length > 0 ? Integer.parseInt(args[0]) : available, Effort.FULL);
  }

  /** The least of {@code repetitions} times of {@code work}. */
  static double best(int repetitions, Runnable work) {
    double best = Double.POSITIVE_INFINITY;
    for (int i = 0; i < repetitions; i++) {
      long start = System.nanoTime();
      work.run();
      best = Math.min(best, (System.nanoTime() - start) / 1e9);
    }
    return best;
  }

  private static double seconds(ExecutorService pool, int threads, IntFunction<Runnable> work) {
    long start = System.nanoTime();
    List<Future<?>> running = new ArrayList<>();
    for (int thread = 0; thread < threads; thread++) {
      running.add(pool.submit(work.apply(thread)));
    }
    for (Future<?> future : running) {
      try {
        future.get();
      } catch (InterruptedException | ExecutionException e) {
        throw new IllegalStateException("measuring a ceiling failed", e);
      }
    }
    return (System.nanoTime() - start) / 1e9;
  }

  private static void consume(float value) {
    if (Float.isNaN(value)) {
      throw new IllegalStateException("the sum of finite products is not a number");
    }
  }

  /** Twelve independent chains hide the latency of a multiply-add. */
  private static float fuse(int loops) {
    FloatVector x = FloatVector.broadcast(SPECIES, 0.999f);
    FloatVector y = FloatVector.broadcast(SPECIES, 0.001f);
    FloatVector a = FloatVector.zero(SPECIES);
    FloatVector b = a;
    FloatVector c = a;
    FloatVector d = a;
    FloatVector e = a;
    FloatVector f = a;
    FloatVector g = a;
    FloatVector h = a;
    FloatVector i = a;
    FloatVector j = a;
    FloatVector k = a;
    FloatVector l = a;
    for (int loop = 0; loop < loops; loop++) {
      a = a.fma(x, y);
      b = b.fma(x, y);
      c = c.fma(x, y);
      d = d.fma(x, y);
      e = e.fma(x, y);
      f = f.fma(x, y);
      g = g.fma(x, y);
      h = h.fma(x, y);
      i = i.fma(x, y);
      j = j.fma(x, y);
      k = k.fma(x, y);
      l = l.fma(x, y);
    }
    FloatVector sum = a.add(b).add(c).add(d).add(e).add(f).add(g).add(h).add(i).add(j).add(k);
    return sum.add(l).lane(0);
  }
}
