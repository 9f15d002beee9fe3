package quamba.udf.recipe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.DType;
import quamba.udf.SharedFiles;
import quamba.udf.calibration.Comparison;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.RandomModel;
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
    assertEquals(4, quantized.layers().size());
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
    assertTrue(divergence < 0.02, "divergence " + divergence);
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
    assertTrue(floats.size() <= 2, floats.toString());
    String said = model.config().replaceAll("\\s", "");
    assertTrue(
        said.contains("\"float_activation_layers\":" + floats.toString().replace(" ", "")), said);
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
