package quamba.udf.recipe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.QuantizedWeight;
import quamba.udf.Backends;
import quamba.udf.SharedFiles;
import quamba.udf.calibration.Calibration;
import quamba.udf.calibration.Comparison;
import quamba.udf.calibration.MomentsBySite;
import quamba.udf.calibration.Ranges;
import quamba.udf.calibration.SampleRun;
import quamba.udf.calibration.Site;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.QuantizedNames;
import quamba.udf.model.RandomModel;
import quamba.udf.model.StateFormat;
import quamba.udf.quantizer.FloatWeights;
import quamba.udf.quantizer.HadamardFold;
import quamba.udf.quantizer.Scheme;
import quamba.udf.quantizer.WardClustering;
import quamba.udf.recipe.Recipe.Technique;

class QuantizerTest {
  private static final String MAMBA1 =
      """
      {"d_model": 32, "n_layer": 3, "vocab_size": 64, "ssm_cfg": {"d_state": 8}}""";
  private static final String MAMBA2 =
      """
      {"d_model": 32, "n_layer": 3, "vocab_size": 64,
       "ssm_cfg": {"layer": "Mamba2", "d_state": 16, "headdim": 8, "ngroups": 2}}""";
  private static final int VOCABULARY = 64;

  @TempDir Path folder;

  private static TensorSource random(String family) {
    return new RandomModel(family.equals("Mamba1") ? MAMBA1 : MAMBA2, DType.F32);
  }

  private static List<int[]> samples(int count, int seed) {
    Random random = new Random(seed);
    List<int[]> samples = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      samples.add(random.ints(33 + i, 0, VOCABULARY).toArray());
    }
    return samples;
  }

  private static Quantized quantize(TensorSource source, Recipe recipe, List<int[]> samples) {
    return new Quantizer(
            recipe,
            new LocalCalibration(samples, samples(3, 2), 1),
            new Recipe.Means(new WardClustering(), 2),
            line -> {})
        .quantize(source);
  }

  private static double divergence(TensorSource source, TensorSource model) {
    return LocalCalibration.compare(source, model, samples(4, 3), 1).divergencePerToken();
  }

  @ParameterizedTest
  @CsvSource({
    "Mamba1, W8A8, 0.01", "Mamba1, W4A8, 0.6", "Mamba1, W4A16, 0.6", "Mamba1, W4AX, 0.6",
    "Mamba2, W8A8, 0.03", "Mamba2, W4A8, 0.6", "Mamba2, W4A16, 0.6", "Mamba2, W4AX, 0.6"
  })
  void schemesStayNearTheModel(String family, Scheme scheme, double most) {
    TensorSource source = random(family);
    Quantized quantized = quantize(source, Recipe.standard(scheme), samples(12, 1));
    assertEquals(scheme.flag(), ModelLoader.check(quantized.model()).quantization().scheme());
    double divergence = divergence(source, quantized.model());
    assertTrue(divergence > 0 && divergence < most, "divergence " + divergence);
    assertEquals(5, quantized.layers().size(), "embedding, three layers, head");
    quantized.write(folder.resolve("out"), "{}");
    try (Checkpoint written = Checkpoint.open(folder.resolve("out"))) {
      assertEquals(quantized.model().names(), written.names());
      assertEquals(divergence, divergence(source, written));
    }
    assertThrows(
        IllegalArgumentException.class, () -> quantized.write(folder.resolve("out"), "{}"));
  }

  @ParameterizedTest
  @EnumSource(Technique.class)
  void everyTechniqueMayBeLeftOut(Technique technique) {
    TensorSource source = random("Mamba2");
    EnumSet<Technique> rest = EnumSet.complementOf(EnumSet.of(technique));
    Recipe recipe = new Recipe(Scheme.W8A8, TableFormat.F16, TableFormat.F16, rest, 0);
    Quantized quantized = quantize(source, recipe, samples(12, 1));
    double divergence = divergence(source, quantized.model());
    assertTrue(divergence < 0.03, "divergence " + divergence);
    Recipe all =
        new Recipe(
            Scheme.W8A8, TableFormat.F16, TableFormat.F16, EnumSet.allOf(Technique.class), 0);
    assertTrue(
        differ(quantized.model(), quantize(source, all, samples(12, 1)).model()),
        "leaving it out changes nothing");
  }

  private static boolean differ(TensorSource one, TensorSource other) {
    return !one.names().equals(other.names())
        || one.names().stream()
            .anyMatch(name -> !one.tensor(name).data().equals(other.tensor(name).data()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"Mamba1", "Mamba2"})
  void orderOfSamplesDoesNotMatter(String family) {
    TensorSource source = random(family);
    List<int[]> reversed = samples(8, 1);
    Collections.reverse(reversed);
    TensorSource one = quantize(source, Recipe.standard(Scheme.W4A8), samples(8, 1)).model();
    TensorSource other = quantize(source, Recipe.standard(Scheme.W4A8), reversed).model();
    assertEquals(one.config(), other.config());
    assertEquals(one.names(), other.names());
    for (String name : one.names()) {
      assertEquals(one.tensor(name).data(), other.tensor(name).data(), name);
    }
  }

  @Test
  void mixedLayersAreNamedInTheConfiguration() {
    Recipe standard = Recipe.standard(Scheme.W4AX);
    Recipe recipe =
        new Recipe(Scheme.W4AX, standard.embedding(), standard.head(), standard.techniques(), 0.67);
    TensorSource model = quantize(random("Mamba2"), recipe, samples(8, 1)).model();
    List<Integer> floats = new ArrayList<>();
    for (int layer = 0; layer < 3; layer++) {
      if (!model.names().contains("backbone.layers." + layer + ".mixer.z_scale")) {
        floats.add(layer);
      }
    }
    boolean head = !model.names().contains("lm_head_input_scale");
    assertTrue(floats.size() + (head ? 1 : 0) <= 3, floats + " " + head);
    String said = model.config().replaceAll("\\s", "");
    assertTrue(said.contains("\"float_activation_head\":" + head), said);
    assertTrue(
        said.contains("\"float_activation_layers\":" + floats.toString().replace(" ", "")), said);
  }

  /** Of a layer's own input alone the embedding is the whole. */
  @Test
  void embeddingsAreRoundedForTheFirstLayer() {
    TensorSource source = random("Mamba2");
    double[] errors = new double[2];
    for (boolean gptq : new boolean[] {false, true}) {
      Set<Technique> techniques = EnumSet.of(Technique.ROTATION);
      if (gptq) {
        techniques.add(Technique.GPTQ);
      }
      Recipe recipe = new Recipe(Scheme.W4A16, TableFormat.I4, TableFormat.F16, techniques, 0);
      TensorSource model = quantize(source, recipe, samples(4, 1)).model();
      FloatWeights rotated =
          HadamardFold.of(ModelConfig.parse(source.config())).over(FloatWeights.of(source));
      errors[gptq ? 1 : 0] = errorInProj(model, rotated);
    }
    assertTrue(errors[1] < 0.95 * errors[0], errors[1] + " of " + errors[0]);
  }

  /** What in_proj makes of the embedding's errors, squared, by a naive loop. */
  private static double errorInProj(TensorSource model, FloatWeights rotated) {
    QuantizedWeight table =
        QuantizedWeight.of(
            model.tensor(FloatWeights.EMBEDDING),
            model.tensor(QuantizedNames.scale(FloatWeights.EMBEDDING)));
    float[] floats = rotated.values(FloatWeights.EMBEDDING);
    float[] matrix = rotated.values("backbone.layers.0.mixer.in_proj.weight");
    int width = table.in();
    double sum = 0;
    for (int id = 0; id < table.out(); id++) {
      float[] found = new float[width];
      table.read(id, found, 0);
      for (int row = 0; row < matrix.length / width; row++) {
        double error = 0;
        for (int i = 0; i < width; i++) {
          error += (found[i] - floats[id * width + i]) * matrix[row * width + i];
        }
        sum += error * error;
      }
    }
    return sum;
  }

  /** Static scales that calibration found let states be int8 nearly for nothing. */
  @ParameterizedTest
  @ValueSource(strings = {"Mamba1", "Mamba2"})
  void staticStatesFit(String family) {
    TensorSource source = random(family);
    Recipe recipe =
        new Recipe(
            Scheme.W8A8, TableFormat.F16, TableFormat.F16, EnumSet.allOf(Technique.class), 0);
    TensorSource model = quantize(source, recipe, samples(12, 1)).model();
    int[] ids = new Random(6).ints(40, 0, VOCABULARY).toArray();
    Comparison none = compared(model, model, ids, StateFormat.F32);
    Comparison rounded = compared(model, model, ids, StateFormat.I8_STATIC);
    assertEquals(0, none.divergence(), 1e-9);
    double divergence = rounded.divergencePerToken();
    assertTrue(divergence > 0 && divergence < 0.01, "divergence " + divergence);
  }

  private static Comparison compared(
      TensorSource reference, TensorSource model, int[] ids, StateFormat state) {
    Backend one = Backends.open("cpu", 1);
    Backend other = Backends.open("cpu", 1);
    try (SampleRun expected = SampleRun.open(reference, one, ids.length, StateFormat.F32);
        SampleRun found = SampleRun.open(model, other, ids.length, state)) {
      return SampleRun.compare(expected, found, ids);
    }
  }

  @Test
  void interruptedRunsGoOn() {
    TensorSource source = random("Mamba2");
    Recipe recipe = Recipe.standard(Scheme.W4A8);
    TensorSource whole = quantize(source, recipe, samples(4, 1)).model();
    Path unfinished = folder.resolve("unfinished");
    SavedSteps saved = SavedSteps.Folder.open(unfinished, "one");
    List<String> lines = new ArrayList<>();
    Consumer<String> interrupting =
        line -> {
          lines.add(line);
          if (line.startsWith("layer 1")) {
            throw new IllegalStateException("interrupted");
          }
        };
    assertThrows(
        IllegalStateException.class, () -> quantizer(recipe, interrupting).quantize(source, saved));
    Counting calibration = new Counting(new LocalCalibration(samples(4, 1), samples(3, 2), 1));
    Quantized rest =
        new Quantizer(recipe, calibration, means(), line -> {}).quantize(source, saved);
    assertEquals(2, calibration.moments, "layer 2 and the head were left");
    assertEquals(5, rest.layers().size());
    assertEquals(lines.get(lines.size() - 1), rest.layers().get(2).toString());
    for (String name : whole.names()) {
      assertEquals(whole.tensor(name).data(), rest.model().tensor(name).data(), name);
    }
    Counting anew = new Counting(new LocalCalibration(samples(4, 1), samples(3, 2), 1));
    new Quantizer(recipe, anew, means(), line -> {})
        .quantize(source, SavedSteps.Folder.open(unfinished, "another"));
    assertEquals(4, anew.moments, "what another run saved is not taken over");
  }

  private static Recipe.Means means() {
    return new Recipe.Means(new WardClustering(), 2);
  }

  private static Quantizer quantizer(Recipe recipe, Consumer<String> progress) {
    return new Quantizer(
        recipe, new LocalCalibration(samples(4, 1), samples(3, 2), 1), means(), progress);
  }

  /** Counts how often inputs are run for their moments. */
  private static final class Counting implements Calibration {
    private final Calibration calibration;
    private int moments;

    Counting(Calibration calibration) {
      this.calibration = calibration;
    }

    @Override
    public Ranges ranges(TensorSource model, Set<QuantizedNames.Tap> taps) {
      return calibration.ranges(model, taps);
    }

    @Override
    public MomentsBySite moments(TensorSource model, Map<Site, float[]> most) {
      moments++;
      return calibration.moments(model, most);
    }

    @Override
    public Comparison compare(TensorSource reference, TensorSource model) {
      return calibration.compare(reference, model);
    }
  }

  /** Groups of 128 inputs that end early, and a width that no rotation has. */
  @Test
  void widthsThatDoNotFitAreTakenOrNamed() {
    TensorSource source =
        new RandomModel(
            """
            {"d_model": 150, "n_layer": 1, "vocab_size": 64,
             "ssm_cfg": {"layer": "Mamba2", "d_state": 16, "headdim": 10}}""",
            DType.F32);
    Recipe recipe = Recipe.standard(Scheme.W4A8);
    IllegalArgumentException refusal =
        assertThrows(IllegalArgumentException.class, () -> quantize(source, recipe, samples(4, 1)));
    assertEquals(
        "d_model 150, inner width 300: no Hadamard transform of size 150: supported are 2^k,"
            + " 12·2^k, 20·2^k, 28·2^k and 40·2^k; --no-rotation leaves the rotation out",
        refusal.getMessage());
    Set<Technique> rest = EnumSet.of(Technique.GPTQ, Technique.GROUPING, Technique.STATE_GROUPS);
    Recipe unrotated = new Recipe(Scheme.W4A8, TableFormat.I4, TableFormat.I4, rest, 0);
    double divergence = divergence(source, quantize(source, unrotated, samples(12, 1)).model());
    assertTrue(divergence > 0 && divergence < 0.6, "divergence " + divergence);
  }

  /** A layer with activations in floats has the codes that W4A16 has, not those of W4A8. */
  @Test
  void mixedLayersAreRoundedForWhatTheyGet() {
    TensorSource source = random("Mamba2");
    Set<Technique> techniques = EnumSet.of(Technique.ROTATION, Technique.GPTQ);
    String codes = "backbone.layers.0.mixer.in_proj.weight";
    List<TensorSource> models = new ArrayList<>();
    for (Scheme scheme : List.of(Scheme.W4AX, Scheme.W4A16, Scheme.W4A8)) {
      Recipe recipe = new Recipe(scheme, TableFormat.I4, TableFormat.I4, techniques, 1);
      models.add(quantize(source, recipe, samples(12, 1)).model());
    }
    assertFalse(
        models.get(0).names().contains("backbone.layers.0.mixer.z_scale"), "layer 0 was chosen");
    assertFalse(models.get(0).names().contains("lm_head_input_scale"), "the head was chosen");
    assertTrue(models.get(2).names().contains("lm_head_input_scale"), "the head in W4A8");
    assertEquals(models.get(1).tensor(codes).data(), models.get(0).tensor(codes).data());
    assertNotEquals(models.get(2).tensor(codes).data(), models.get(0).tensor(codes).data());
  }

  @Test
  void quantizedModelsAreRefused() {
    TensorSource model =
        quantize(random("Mamba1"), Recipe.standard(Scheme.W8A8), samples(4, 1)).model();
    IllegalArgumentException refusal =
        assertThrows(
            IllegalArgumentException.class,
            () -> quantize(model, Recipe.standard(Scheme.W8A8), samples(4, 1)));
    assertTrue(refusal.getMessage().contains("not quantized, found w8a8"), refusal.getMessage());
  }

  /** The rotation is exact but for single precision. */
  @ParameterizedTest
  @ValueSource(strings = {"mamba1-18m", "mamba2-15m", "mamba2-g4-6m"})
  void rotatedModelsAreTheSame(String name) {
    try (Checkpoint source = Checkpoint.open(SharedFiles.shared("models/" + name))) {
      ModelConfig config = ModelConfig.parse(source.config());
      String text = ConfigText.quantized(source.config(), "floats", "hadamard", Map.of());
      DraftModel rotated =
          DraftModel.of(text, HadamardFold.of(config).over(FloatWeights.of(source)), source);
      int[] ids = new Random(4).ints(200, 0, config.vocabulary().size()).toArray();
      Comparison found = LocalCalibration.compare(source, rotated, List.of(ids), 2);
      assertTrue(found.divergencePerToken() < 1e-6, found.toString());
      assertEquals(found.referenceLoss() / found.tokens(), found.loss() / found.tokens(), 1e-3);
    }
  }

  @Test
  void configurationKeepsWhatItSaid() {
    String json = "{\"d_model\": 8, \"time_step_limit\": [0.0, Infinity], \"n_layer\": 5}";
    String text = ConfigText.quantized(json, "w8a8", "none", Map.of("a", 1));
    assertTrue(text.contains("Infinity") && !text.contains("\"Infinity\""), text);
    assertTrue(text.contains("\"tie_embeddings\" : false"), text);
    assertTrue(ConfigText.truncated(text, 2).contains("\"n_layer\" : 2"), text);
  }
}
