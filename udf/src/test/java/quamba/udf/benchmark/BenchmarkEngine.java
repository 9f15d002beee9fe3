package quamba.udf.benchmark;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import quamba.kernels.Backend;
import quamba.kernels.DeviceMemoryException;
import quamba.udf.Backends;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.Sampling;
import quamba.udf.quantizer.Scheme;

/**
 * Decoding and prefill of models of true shapes with random weights, on any backend, step by step
 * as the engine drives them, ids read back and fed again. Times are of the host's clock around many
 * steps and are set against the {@link Floors} of rates that were measured on the same device.
 *
 * <p>Arguments: see {@link EngineOptions}. A line is printed, and one of JSON written, as soon as a
 * case is measured; shares are of the floor where states and matrices take turns, and of the floor
 * where all overlaps. Of prefill both are the share of the rate of multiplication.
 */
public final class BenchmarkEngine {
  private static final int LEAST_STEP_TOKENS = 1024;
  private static final int PREFILL_WARM = 2;
  private static final int MOST_WARM = 400; // steps
  private static final double WARM_SECONDS = 0.5;
  private static final int CHECKED_TOKENS = 20;

  private final EngineOptions options;
  private final PrintStream print;
  private final long start = System.nanoTime();
  private final Floors.Rates rates;

  private BenchmarkEngine(EngineOptions options, PrintStream print) {
    this.options = options;
    this.print = print;
    rates = options.rates();
  }

  public static void main(String[] args) {
    run(new EngineOptions(args), System.out);
  }

  static void run(EngineOptions options, PrintStream print) {
    BenchmarkEngine benchmark = new BenchmarkEngine(options, print);
    benchmark.say(
        "%s, states in %s; copy %s GB/s, int8 %s TOPS, bf16 %s TFLOP/s"
            .formatted(
                options.text("--device"),
                options.state(),
                options.text("--copy-gbs"),
                options.text("--int8-tops"),
                options.text("--bf16-tflops")));
    benchmark.say(
        "model              scheme case              rows    ms/step (least .. most)       tok/s"
            + "  serial ms  share  overlap ms  share");
    for (ModelShape shape : options.models()) {
      for (Scheme scheme : options.schemes()) {
        if (!benchmark.spent(shape.name() + " " + scheme.flag())) {
          benchmark.model(shape, scheme);
        }
      }
    }
  }

  private double elapsed() {
    return (System.nanoTime() - start) / 1e9;
  }

  private void say(String line) {
    print.printf(Locale.ROOT, "[%7.1f s] %s%n", elapsed(), line);
  }

  /** Whether there is no time left, which is said. */
  private boolean spent(String what) {
    boolean spent = elapsed() > options.real("--budget");
    if (spent) {
      say(what + " skipped: the budget is spent");
    }
    return spent;
  }

  /** All cases of a model, with as many of the rows as the device has memory for. */
  private void model(ModelShape shape, Scheme scheme) {
    TreeSet<Integer> rows = new TreeSet<>(options.rows());
    options.prefills().forEach(name -> rows.add(options.lengths(name).length));
    for (int slots : rows.descendingSet()) {
      Backend backend = Backends.open(options.text("--device"), options.threads());
      SyntheticModel source = new SyntheticModel(shape, scheme, options.number("--seed"));
      long begun = System.nanoTime();
      MambaModel opened;
      try {
        opened = open(source, backend, slots);
      } catch (DeviceMemoryException e) {
        backend.close();
        say("%s %s, %d slots: %s".formatted(shape.name(), scheme.flag(), slots, e.getMessage()));
        continue;
      } catch (RuntimeException | Error e) {
        backend.close();
        throw e;
      }
      try (MambaModel model = opened) {
        double all = (System.nanoTime() - begun) / 1e9;
        say(
            "%s %s, %d slots: loaded in %.2f s: making weights %.2f s, the rest %.2f s"
                .formatted(
                    shape.name(),
                    scheme.flag(),
                    slots,
                    all,
                    source.seconds(),
                    all - source.seconds()));
        new Cases(shape.name(), scheme, model).run(slots);
      }
      return;
    }
  }

  private MambaModel open(SyntheticModel source, Backend backend, int slots) {
    int tokens = options.prefills().isEmpty() ? LEAST_STEP_TOKENS : options.number("--step-tokens");
    Capacity capacity = new Capacity(slots, Math.max(slots, tokens), options.state());
    int vocab = source.parsed().vocabulary().size();
    return ModelLoader.open(source, backend, capacity, vocab);
  }

  /** Milliseconds of one case's runs. */
  private record Times(double median, double least, double most) {
    static Times of(double... seconds) {
      double[] sorted = seconds.clone();
      Arrays.sort(sorted);
      int half = sorted.length / 2;
      double median = sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
      return new Times(1e3 * median, 1e3 * sorted[0], 1e3 * sorted[sorted.length - 1]);
    }
  }

  /** The cases of one model that is open. */
  private final class Cases {
    private final String name;
    private final Scheme scheme;
    private final MambaModel model;
    private final EngineDriver driver;
    private final Floors floors;

    Cases(String name, Scheme scheme, MambaModel model) {
      this.name = name;
      this.scheme = scheme;
      this.model = model;
      driver = new EngineDriver(model, options.number("--seed"));
      floors = Floors.of(model.config(), scheme, options.state());
    }

    void run(int slots) {
      double[] span = driver.logits(driver.prompts(CHECKED_TOKENS)[0]);
      say("%s %s: logits %.2f to %.2f".formatted(name, scheme.flag(), span[0], span[1]));
      for (String prefill : options.prefills()) {
        if (options.lengths(prefill).length <= slots && !spent("prefill " + prefill)) {
          prefill(prefill);
        }
      }
      for (int rows : options.rows()) {
        if (rows <= slots && !spent(rows + " rows")) {
          driver.choose(rows, Sampling.GREEDY);
          driver.read(driver.spreadPrompts(rows));
          options.samplings().forEach(sampling -> decode(rows, sampling));
        }
      }
    }

    private void decode(int rows, String sampling) {
      driver.choose(rows, options.sampling(sampling));
      long begun = System.nanoTime();
      for (int step = 0; step < options.number("--warm") || isCold(step, begun); step++) {
        driver.decode(rows);
      }
      int steps = options.number("--steps");
      double[] seconds = new double[options.number("--blocks")];
      for (int block = 0; block < seconds.length; block++) {
        long from = System.nanoTime();
        for (int step = 0; step < steps; step++) {
          driver.decode(rows);
        }
        seconds[block] = (System.nanoTime() - from) / 1e9 / steps;
      }
      driver.finish();
      Times times = Times.of(seconds);
      Floors classic = floors.classic(model.config());
      Map<String, Object> more = new LinkedHashMap<>();
      putKnown(more, "classic_int8_serial_ms", 1e3 * classic.serial(rows, rates));
      more.put("distinct_ids", driver.distinct(rows));
      double serial = 1e3 * floors.serial(rows, rates);
      double overlap = 1e3 * floors.overlap(rows, rates);
      report("decode " + sampling, rows, rows, times, new double[] {serial, overlap}, more);
    }

    private boolean isCold(int steps, long begun) {
      boolean warmed = (System.nanoTime() - begun) / 1e9 > WARM_SECONDS;
      return options.number("--warm") > 0 && steps < MOST_WARM && !warmed;
    }

    private void prefill(String prefill) {
      int[] lengths = options.lengths(prefill);
      int[][] prompts = driver.prompts(lengths);
      driver.choose(lengths.length, Sampling.GREEDY);
      double[] seconds = new double[options.number("--prefill-runs")];
      for (int run = -PREFILL_WARM; run < seconds.length; run++) {
        long from = System.nanoTime();
        driver.read(prompts);
        seconds[Math.max(0, run)] = (System.nanoTime() - from) / 1e9;
      }
      int tokens = Arrays.stream(lengths).sum();
      double floor = 1e3 * floors.prefill(tokens, lengths.length, rates);
      Map<String, Object> more = Map.of("step_tokens", model.tokensPerStep());
      Times times = Times.of(seconds);
      report(
          "prefill " + prefill, lengths.length, tokens, times, new double[] {floor, floor}, more);
    }

    /**
     * One line, and one of JSON.
     *
     * @param tokens of all rows in a step or, of prefill, a run
     * @param least milliseconds: serial, overlap
     */
    private void report(
        String what, int rows, int tokens, Times times, double[] least, Map<String, Object> more) {
      say(
          "%-18s %-6s %-17s %5d %10.3f (%8.3f .. %8.3f) %11.0f %10.3f %5.1f%% %11.3f %5.1f%%"
              .formatted(
                  name,
                  scheme.flag(),
                  what,
                  rows,
                  times.median(),
                  times.least(),
                  times.most(),
                  1e3 * tokens / times.median(),
                  least[0],
                  100 * least[0] / times.median(),
                  least[1],
                  100 * least[1] / times.median()));
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("model", name);
      line.put("scheme", scheme.flag());
      line.put("state", options.state().toString());
      line.put("device", options.text("--device"));
      line.put("case", what);
      line.put("rows", rows);
      line.put("tokens", tokens);
      line.put("ms", times.median());
      line.put("least_ms", times.least());
      line.put("most_ms", times.most());
      line.put("tokens_per_second", 1e3 * tokens / times.median());
      putKnown(line, "serial_ms", least[0]);
      putKnown(line, "overlap_ms", least[1]);
      putKnown(line, "copy_gbs", rates.copyBytes() / 1e9);
      putKnown(line, "int8_tops", rates.codeOperations() / 1e12);
      putKnown(line, "bf16_tflops", rates.halfOperations() / 1e12);
      line.putAll(more);
      write(line);
    }

    /** Leaves out what is not known. */
    private static void putKnown(Map<String, Object> line, String key, double value) {
      if (Double.isFinite(value)) {
        line.put(key, value);
      }
    }

    private void write(Map<String, Object> line) {
      if (options.text("--json").isEmpty()) {
        return;
      }
      try {
        byte[] text =
            (new ObjectMapper().writeValueAsString(line) + "\n").getBytes(StandardCharsets.UTF_8);
        Path file = Path.of(options.text("--json"));
        Files.write(file, text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
