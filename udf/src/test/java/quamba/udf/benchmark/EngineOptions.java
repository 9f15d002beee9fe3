package quamba.udf.benchmark;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import quamba.udf.model.Sampling;
import quamba.udf.model.StateFormat;
import quamba.udf.quantizer.Scheme;

/** Options of {@link BenchmarkEngine}: pairs of {@code --name value}. */
final class EngineOptions {
  private static final Map<String, String> DEFAULTS =
      Map.ofEntries(
          Map.entry("--device", "cpu"),
          Map.entry("--threads", "0"),
          Map.entry("--models", "mamba2-2.7b"),
          Map.entry("--schemes", "w4a8"),
          Map.entry("--state", "i8"),
          Map.entry("--layers", "0"),
          Map.entry("--rows", "1,16,64,256,512,1024"),
          Map.entry("--sampling", "greedy,sampled"),
          Map.entry("--warm", "64"),
          Map.entry("--blocks", "3"),
          Map.entry("--steps", "48"),
          Map.entry("--prefill", "8x1024,32x64-1024"),
          Map.entry("--prefill-runs", "5"),
          Map.entry("--step-tokens", "8192"),
          Map.entry("--budget", "1e9"),
          Map.entry("--copy-gbs", "NaN"),
          Map.entry("--int8-tops", "NaN"),
          Map.entry("--bf16-tflops", "NaN"),
          Map.entry("--json", ""),
          Map.entry("--seed", "1"));

  /** Narrowed in every way that generation usually is. */
  private static final Sampling NARROWED = new Sampling(0.8f, 40, 0.95f, 0, 1, 7);

  private final Map<String, String> values = new HashMap<>(DEFAULTS);

  /**
   * Reads the arguments.
   *
   * @throws IllegalArgumentException naming the option that there is not
   */
  EngineOptions(String... args) {
    for (int i = 0; i < args.length; i += 2) {
      if (!DEFAULTS.containsKey(args[i]) || i + 1 == args.length) {
        Set<String> known = new TreeSet<>(DEFAULTS.keySet());
        throw new IllegalArgumentException(
            "%s: expected one of %s and a value".formatted(args[i], known));
      }
      values.put(args[i], args[i + 1]);
    }
  }

  /** The value of an option. */
  String text(String name) {
    return values.get(name);
  }

  int number(String name) {
    return Integer.parseInt(text(name));
  }

  double real(String name) {
    return Double.parseDouble(text(name));
  }

  private List<String> list(String name) {
    return text(name).isEmpty() ? List.of() : Arrays.asList(text(name).split(",", -1));
  }

  /** Threads that compute, where the device is the processor. */
  int threads() {
    int asked = number("--threads");
    return asked > 0 ? asked : Runtime.getRuntime().availableProcessors();
  }

  List<ModelShape> models() {
    int layers = number("--layers");
    return ModelShape.parseAll(text("--models")).stream()
        .map(shape -> layers > 0 ? shape.withLayers(layers) : shape)
        .toList();
  }

  List<Scheme> schemes() {
    return list("--schemes").stream().map(Scheme::parse).toList();
  }

  StateFormat state() {
    return StateFormat.parse("--state", text("--state"));
  }

  /** Rows of the decoding cases. */
  List<Integer> rows() {
    return list("--rows").stream().map(Integer::valueOf).toList();
  }

  /** How ids are chosen, by the names that the report has. */
  Sampling sampling(String name) {
    return switch (name) {
      case "greedy" -> Sampling.GREEDY;
      case "sampled" -> NARROWED;
      default -> throw new IllegalArgumentException("--sampling: no " + name);
    };
  }

  /** Names for {@link #sampling}. */
  List<String> samplings() {
    return list("--sampling");
  }

  /** Names of the prefill cases: ROWSxTOKENS or, ragged, ROWSxLEAST-MOST; none of {@code none}. */
  List<String> prefills() {
    return text("--prefill").equals("none") ? List.of() : list("--prefill");
  }

  /** Tokens of each row of a prefill case, the same for the same seed. */
  int[] lengths(String prefill) {
    String[] parts = prefill.split("[x-]", -1);
    int least = Integer.parseInt(parts[1]);
    int most = Integer.parseInt(parts[parts.length - 1]);
    SplittableRandom random = new SplittableRandom(number("--seed"));
    return random.ints(Integer.parseInt(parts[0]), least, most + 1).toArray();
  }

  /** What the device reaches, as far as it was told. */
  Floors.Rates rates() {
    double halves = 1e12 * real("--bf16-tflops");
    return new Floors.Rates(1e9 * real("--copy-gbs"), 1e12 * real("--int8-tops"), halves);
  }
}
