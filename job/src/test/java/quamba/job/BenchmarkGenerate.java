package quamba.job;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.IntBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
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
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.Sampling;
import quamba.udf.tokenizer.HuggingFaceTokenizer;
import quamba.udf.tokenizer.Tokenizer;

/**
 * The Spark job against the bare engine on the same rows: what Spark, Parquet and the row contract
 * cost. Both run twice, in turn, and the second round counts: the machine code is ready then.
 *
 * <p>Arguments: the checkpoint's folder, prompts as JSON lines with a column {@code prompt} (not
 * compressed), threads, slots.
 */
public final class BenchmarkGenerate {
  private static final int MAX_TOKENS = 32;
  private static final int STEP_TOKENS = 256;
  private static final Pattern GENERATE = Pattern.compile("generate ([0-9.]+) \\(of");
  private static final Pattern TOKENS = Pattern.compile("tokens: (\\d+) prompt, (\\d+) generated");

  private final Path model;
  private final Path prompts;
  private final int threads;
  private final int slots;

  private BenchmarkGenerate(Path model, Path prompts, int threads, int slots) {
    this.model = model;
    this.prompts = prompts;
    this.threads = threads;
    this.slots = slots;
  }

  public static void main(String[] args) throws Exception {
    BenchmarkGenerate benchmark =
        new BenchmarkGenerate(
            Path.of(args[0]),
            Path.of(args[1]),
            Integer.parseInt(args[2]),
            Integer.parseInt(args[3]));
    benchmark.run();
  }

  private void run() throws Exception {
    List<String> texts = texts();
    for (int round = 0; round < 2; round++) {
      double engine = engine(texts);
      double job = job();
      System.out.printf(
          Locale.ROOT,
          "round %d: %d rows, bare engine %.2f s, Spark job's generate phase %.2f s: job reaches %.1f %%%n",
          round,
          texts.size(),
          engine,
          job,
          100 * engine / job);
    }
  }

  private List<String> texts() throws IOException {
    ObjectMapper json = new ObjectMapper();
    List<String> texts = new ArrayList<>();
    try (BufferedReader lines = Files.newBufferedReader(prompts)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        JsonNode row = json.readTree(line);
        texts.add(row.get("prompt").asText());
      }
    }
    return texts;
  }

  /** Seconds from the first row to the last, the model being open; a feeding thread a core. */
  private double engine(List<String> texts) throws Exception {
    byte[] json =
        Files.readString(model.resolve("tokenizer.json")).getBytes(StandardCharsets.UTF_8);
    try (Checkpoint checkpoint = Checkpoint.open(model);
        Tokenizer tokenizer = HuggingFaceTokenizer.open(json);
        BufferAllocator memory = new RootAllocator(1 << 30)) {
      int vocab = ModelConfig.parse(checkpoint.config()).vocabulary().size();
      Capacity capacity = new Capacity(slots, Math.max(slots, STEP_TOKENS));
      try (Engine engine =
          new Engine(
              ModelLoader.open(checkpoint, Backends.open("cpu", threads), capacity, vocab),
              tokenizer,
              tokenizer.idOf("<|endoftext|>"),
              memory)) {
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
        double seconds = (System.nanoTime() - start) / 1e9;
        Engine.Load load = engine.load();
        System.out.printf(
            Locale.ROOT,
            "  bare engine: %d prompt, %d generated tokens, %.0f a second, %.1f rows a step%n",
            load.promptTokens(),
            tokens,
            (load.promptTokens() + tokens) / seconds,
            (double) load.rows() / load.steps());
        return seconds;
      }
    }
  }

  private static long feed(Engine engine, Tokenizer tokenizer, List<String> texts) {
    long tokens = 0;
    try (Completions<String> completions =
        engine.complete(texts.stream().map(text -> request(tokenizer, text)).iterator())) {
      while (completions.hasNext()) {
        tokens += ((Completion.Generated<String>) completions.next()).generatedTokens();
      }
    }
    return tokens;
  }

  private static Request<String> request(Tokenizer tokenizer, String text) {
    return new Request.Prompt<>(
        text,
        IntBuffer.wrap(tokenizer.encode(text)),
        text.hashCode(),
        Sampling.GREEDY,
        new Request.Limits(MAX_TOKENS, List.of()));
  }

  /**
   * Seconds of the phase that reads rows, generates and writes them, the opening of the model
   * included.
   */
  private double job() throws IOException {
    Path output = Files.createTempDirectory("benchmark").resolve("out");
    try (LocalSession session = LocalSession.start(threads)) {
      session.spark().sparkContext().setLogLevel("WARN");
      JobRun run =
          JobRun.of(
              "generate",
              "--model=" + model,
              "--input=" + prompts,
              "--output=" + output,
              "--prompt-column=prompt",
              "--max-tokens=" + MAX_TOKENS,
              "--slots=" + slots);
      Matcher seconds = GENERATE.matcher(run.out());
      Matcher tokens = TOKENS.matcher(run.out());
      if (run.exitCode() != 0 || !seconds.find() || !tokens.find()) {
        throw new IllegalStateException(run.out() + run.err());
      }
      System.out.println("  Spark job: " + run.out().replace("\n", "; "));
      return Double.parseDouble(seconds.group(1));
    }
  }
}
