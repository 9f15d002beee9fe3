package quamba.job;

import java.io.IOException;
import java.nio.IntBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import quamba.udf.Backends;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.engine.Completion;
import quamba.udf.engine.Completions;
import quamba.udf.engine.Engine;
import quamba.udf.engine.Request;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.Sampling;
import quamba.udf.model.StateFormat;
import quamba.udf.tokenizer.HuggingFaceTokenizer;
import quamba.udf.tokenizer.Tokenizer;

/**
 * The Spark job against the bare engine on the same rows: what Spark, Parquet and the row contract
 * cost. Both run in turn, and the last round counts: the machine code is ready then.
 *
 * <p>Arguments: the checkpoint's folder, a Parquet folder with a column {@code prompt} (such as
 * {@link MakePrompts} writes), threads, slots, device, tokens a row, format of states, rounds.
 */
public final class BenchmarkGenerate {
  private static final Pattern GENERATE = Pattern.compile("generate ([0-9.]+) \\(of");
  private static final Pattern FULL =
      Pattern.compile("([0-9.]+) prompt and ([0-9.]+) generated tokens a second of");

  private final Path model;
  private final Path prompts;
  private final int threads;
  private final Width width;
  private final int maxTokens;
  private final int rounds;

  /** Where and how wide the model runs. */
  private record Width(int slots, String device, StateFormat state) {
    /** Tokens of a step are as many as in an executor. */
    Capacity capacity() {
      return new Capacity(slots, Math.max(slots, device.equals("cpu") ? 256 : 4096), state);
    }
  }

  /**
   * What was found.
   *
   * @param seconds from the first row to the last
   * @param rate prompt and generated tokens a second while all slots were taken
   */
  private record Found(double seconds, double rate) {}

  private BenchmarkGenerate(String[] args) {
    model = Path.of(args[0]);
    prompts = Path.of(args[1]);
    threads = Integer.parseInt(args[2]);
    width = new Width(Integer.parseInt(args[3]), args[4], StateFormat.parse("state", args[6]));
    maxTokens = Integer.parseInt(args[5]);
    rounds = Integer.parseInt(args[7]);
  }

  public static void main(String[] args) throws Exception {
    new BenchmarkGenerate(args).run();
  }

  private void run() throws Exception {
    List<String> texts =
        ParquetRows.read(prompts).rows().stream().map(row -> row.get("prompt").toString()).toList();
    for (int round = 0; round < rounds; round++) {
      Found engine = engine(texts);
      Found job = job();
      System.out.printf(
          Locale.ROOT,
          "round %d: %d rows, bare engine %.2f s, Spark job's generate phase %.2f s:"
              + " job reaches %.1f %%, with all slots taken %.1f %%%n",
          round,
          texts.size(),
          engine.seconds(),
          job.seconds(),
          100 * engine.seconds() / job.seconds(),
          100 * job.rate() / engine.rate());
    }
  }

  /** The model being open; a feeding thread for each of Spark's. */
  private Found engine(List<String> texts) throws Exception {
    byte[] json =
        Files.readString(model.resolve("tokenizer.json")).getBytes(StandardCharsets.UTF_8);
    try (Checkpoint checkpoint = Checkpoint.open(model);
        Tokenizer tokenizer = HuggingFaceTokenizer.open(json);
        BufferAllocator memory = new RootAllocator(1 << 30)) {
      MambaModel opened =
          ModelLoader.open(
              checkpoint,
              Backends.open(width.device(), threads),
              width.capacity(),
              tokenizer.vocabulary());
      OptionalInt configured = opened.config().endOfText();
      OptionalInt end = configured.isPresent() ? configured : tokenizer.idOf("<|endoftext|>");
      try (Engine engine = new Engine(opened, tokenizer, end, memory)) {
        long start = System.nanoTime();
        ExecutorService feeders = Executors.newFixedThreadPool(threads);
        List<Future<Long>> parts = new ArrayList<>();
        int size = (texts.size() + threads - 1) / threads;
        for (int from = 0; from < texts.size(); from += size) {
          List<String> part = texts.subList(from, Math.min(texts.size(), from + size));
          parts.add(feeders.submit(() -> feed(engine, tokenizer, part)));
        }
        long tokens = 0;
        for (Future<Long> part : parts) {
          tokens += part.get();
        }
        feeders.shutdown();
        return found(engine, tokens, (System.nanoTime() - start) / 1e9);
      }
    }
  }

  private static Found found(Engine engine, long tokens, double seconds) {
    Engine.Load load = engine.load();
    Engine.Full full = engine.takeFull();
    double rate = (full.promptTokens() + full.generatedTokens()) / (full.nanos() / 1e9);
    System.out.printf(
        Locale.ROOT,
        "  bare engine: %d prompt, %d generated tokens, %.0f a second, %.1f rows a step; all slots"
            + " taken %.1f s: %.0f a second%n",
        load.promptTokens(),
        tokens,
        (load.promptTokens() + tokens) / seconds,
        (double) load.rows() / load.steps(),
        full.nanos() / 1e9,
        rate);
    return new Found(seconds, rate);
  }

  private long feed(Engine engine, Tokenizer tokenizer, List<String> texts) {
    long tokens = 0;
    try (Completions<String> completions =
        engine.complete(texts.stream().map(text -> request(tokenizer, text)).iterator())) {
      while (completions.hasNext()) {
        tokens += ((Completion.Generated<String>) completions.next()).generatedTokens();
      }
    }
    return tokens;
  }

  private Request<String> request(Tokenizer tokenizer, String text) {
    return new Request.Prompt<>(
        text,
        IntBuffer.wrap(tokenizer.encode(text)),
        text.hashCode(),
        Sampling.GREEDY,
        new Request.Limits(maxTokens, List.of()));
  }

  /** The phase that reads rows, generates and writes them, the opening of the model included. */
  private Found job() throws IOException {
    Path output = Files.createTempDirectory("benchmark").resolve("out");
    try (LocalSession session = LocalSession.start(threads)) {
      session.spark().sparkContext().setLogLevel("WARN");
      JobRun run =
          JobRun.of(
              "generate",
              "--model=" + model,
              "--input=" + prompts,
              "--input-format=parquet",
              "--output=" + output,
              "--prompt-column=prompt",
              "--max-tokens=" + maxTokens,
              "--device=" + width.device(),
              "--state=" + width.state(),
              "--slots=" + width.slots());
      Matcher seconds = GENERATE.matcher(run.out());
      Matcher full = FULL.matcher(run.out());
      if (run.exitCode() != 0 || !seconds.find()) {
        throw new IllegalStateException(run.out() + run.err());
      }
      System.out.println("  Spark job: " + run.out().replace("\n", "; "));
      double rate =
          full.find()
              ? Double.parseDouble(full.group(1)) + Double.parseDouble(full.group(2))
              : Double.NaN;
      return new Found(Double.parseDouble(seconds.group(1)), rate);
    }
  }
}
