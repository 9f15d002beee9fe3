package quamba.udf.recipe;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.zip.GZIPInputStream;
import quamba.udf.calibration.Comparison;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelBytes;
import quamba.udf.quantizer.Scheme;
import quamba.udf.quantizer.WardClustering;
import quamba.udf.recipe.Recipe.Technique;
import quamba.udf.tokenizer.HuggingFaceTokenizer;
import quamba.udf.tokenizer.Tokenizer;

/**
 * How far quantized models are from the model in floats: Kullback–Leibler divergence a token and
 * perplexities, over the first windows of 1,024 tokens of WikiText-2's test set and of books.
 *
 * <p>Arguments: folder of shared files, model, schemes (with commas), windows, calibration samples,
 * and techniques to leave out.
 */
public final class BenchmarkQuality {
  private static final int WINDOW = 1024;
  private static final int SAMPLE = 512;

  private final Path shared;
  private final Path folder;
  private final Checkpoint checkpoint;
  private final Tokenizer tokenizer;
  private final int threads = Runtime.getRuntime().availableProcessors();

  private BenchmarkQuality(Path shared, Path folder, Checkpoint checkpoint, Tokenizer tokenizer) {
    this.shared = shared;
    this.folder = folder;
    this.checkpoint = checkpoint;
    this.tokenizer = tokenizer;
  }

  public static void main(String[] args) throws IOException {
    Path shared = Path.of(args[0]);
    Path folder = shared.resolve("models").resolve(args[1]);
    Set<Technique> techniques = EnumSet.complementOf(EnumSet.of(Technique.STATIC_STATE));
    Arrays.stream(args).skip(5).forEach(name -> techniques.remove(Technique.valueOf(name)));
    try (Checkpoint checkpoint = Checkpoint.open(folder);
        Tokenizer tokenizer =
            HuggingFaceTokenizer.open(Files.readAllBytes(folder.resolve("tokenizer.json")))) {
      BenchmarkQuality benchmark = new BenchmarkQuality(shared, folder, checkpoint, tokenizer);
      Map<String, TensorSource> models = new LinkedHashMap<>();
      for (String scheme : args[2].split(",", -1)) {
        Recipe standard = Recipe.standard(Scheme.parse(scheme));
        Recipe recipe =
            new Recipe(
                standard.scheme(),
                table("embedding", standard.embedding()),
                table("head", standard.head()),
                techniques,
                0.25);
        models.put(
            scheme, benchmark.quantize(recipe, Integer.parseInt(args[4]), args[1] + "-" + scheme));
      }
      benchmark.compare(args[1], models, Integer.parseInt(args[3]));
    }
  }

  /** System properties embedding and head say how those are stored, where the scheme should not. */
  private static TableFormat table(String property, TableFormat standard) {
    return TableFormat.parse(property, System.getProperty(property, standard.toString()));
  }

  /** Quantizes; the system property keep names a folder to leave the checkpoint in. */
  private TensorSource quantize(Recipe recipe, int count, String name) throws IOException {
    long start = System.nanoTime();
    Quantized quantized =
        new Quantizer(
                recipe,
                new LocalCalibration(
                    samples(count), windows("books/valid_books.txt.gz", 4), threads),
                new Recipe.Means(new WardClustering(), threads),
                System.err::println)
            .quantize(checkpoint);
    System.out.printf(
        Locale.ROOT,
        "%s %s: %d samples, %.0f s, %.4f of fp16%n",
        name,
        recipe.techniques(),
        count,
        (System.nanoTime() - start) / 1e9,
        ModelBytes.of(quantized.model()).share());
    String keep = System.getProperty("keep");
    if (keep != null) {
      quantized.write(Path.of(keep, name), Files.readString(folder.resolve("tokenizer.json")));
    }
    return quantized.model();
  }

  private void compare(String model, Map<String, TensorSource> models, int windows)
      throws IOException {
    for (String text : List.of("wikitext2/wiki.test.raw.gz", "books/valid_books.txt.gz")) {
      List<TensorSource> all = List.copyOf(models.values());
      List<Comparison> found =
          LocalCalibration.compareAll(checkpoint, all, windows(text, windows), threads);
      int at = 0;
      for (String scheme : models.keySet()) {
        Comparison one = found.get(at++);
        System.out.printf(
            Locale.ROOT,
            "%s %s %s: KL %.5f, perplexity %.4f -> %.4f, %d windows%n",
            model,
            scheme,
            text,
            one.divergencePerToken(),
            one.referencePerplexity(),
            one.perplexity(),
            windows);
      }
    }
  }

  private List<int[]> samples(int count) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    List<int[]> samples = new ArrayList<>();
    try (BufferedReader lines = reader("data/calibration/books.jsonl.gz")) {
      for (String line = lines.readLine();
          line != null && samples.size() < count;
          line = lines.readLine()) {
        int[] ids = tokenizer.encode(mapper.readTree(line).get("text").asText());
        samples.add(Arrays.copyOf(ids, Math.min(SAMPLE, ids.length)));
      }
    }
    return samples;
  }

  private List<int[]> windows(String text, int count) throws IOException {
    StringBuilder all = new StringBuilder();
    try (BufferedReader in = reader("data/" + text)) {
      char[] chunk = new char[1 << 16];
      for (int read = in.read(chunk); read >= 0; read = in.read(chunk)) {
        all.append(chunk, 0, read);
      }
    }
    int[] ids = tokenizer.encode(all.toString());
    List<int[]> windows = new ArrayList<>();
    for (int at = 0; at + WINDOW <= ids.length && windows.size() < count; at += WINDOW) {
      windows.add(Arrays.copyOfRange(ids, at, at + WINDOW));
    }
    return windows;
  }

  private BufferedReader reader(String name) throws IOException {
    return new BufferedReader(
        new InputStreamReader(
            new GZIPInputStream(Files.newInputStream(shared.resolve(name))),
            StandardCharsets.UTF_8));
  }
}
