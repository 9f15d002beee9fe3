package quamba.udf.recipe;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import quamba.udf.calibration.Calibration;
import quamba.udf.calibration.Ranges;
import quamba.udf.calibration.Site;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.QuantizedNames.Tap;
import quamba.udf.quantizer.ChannelGroups;
import quamba.udf.quantizer.FloatWeights;
import quamba.udf.quantizer.HadamardFold;
import quamba.udf.quantizer.Scheme;
import quamba.udf.quantizer.WeightPermutation;
import quamba.udf.recipe.Recipe.Technique;

/**
 * Quantizes a model: groups and sorts channels, folds the rotation, measures activations, then
 * rounds layer after layer, each for the inputs that it gets from the rounded layers before it.
 * What is rounded stays in memory; the floats are computed when they are asked for.
 */
public final class Quantizer {
  private final Recipe recipe;
  private final Calibration calibration;
  private final Recipe.Means means;
  private final Consumer<String> progress;

  /**
   * A quantizer.
   *
   * @param progress takes a line for each thing that is done
   */
  public Quantizer(
      Recipe recipe, Calibration calibration, Recipe.Means means, Consumer<String> progress) {
    this.recipe = recipe;
    this.calibration = calibration;
    this.means = means;
    this.progress = progress;
  }

  /**
   * Quantizes a model of floats.
   *
   * @throws IllegalArgumentException if it is quantized already, or its sizes do not allow the
   *     recipe
   */
  public Quantized quantize(TensorSource source) {
    return quantize(source, SavedSteps.NONE);
  }

  /**
   * As {@link #quantize(TensorSource)}, going on from what an interrupted run with the same recipe,
   * model and samples has saved.
   */
  public Quantized quantize(TensorSource source, SavedSteps saved) {
    ModelConfig config = ModelLoader.check(source);
    requireFloats(config);
    FloatWeights weights = FloatWeights.of(source);
    int[][] groups = new int[config.layers()][config.mixer().innerDim()]; // one for all
    if (grouping(config)) {
      Ranges ranges = calibration.ranges(source, EnumSet.of(Tap.X_OUT));
      List<ChannelGroups> layers =
          IntStream.range(0, config.layers())
              .mapToObj(layer -> channelGroups(config, ranges, layer))
              .toList();
      weights = WeightPermutation.of(config, layers).over(weights);
      groups = layers.stream().map(ChannelGroups::groups).toArray(int[][]::new);
      progress.accept("channels are grouped");
    }
    boolean rotated = recipe.uses(Technique.ROTATION);
    if (rotated) {
      weights = fold(config).over(weights);
    }
    String text =
        ConfigText.quantized(
            source.config(),
            recipe.scheme().flag(),
            rotated ? "hadamard" : "none",
            description(config.layers(), List.of()));
    return new Run(config, DraftModel.of(text, weights, source), groups, saved).quantize();
  }

  /**
   * Checks a model that is to be quantized.
   *
   * @throws IllegalArgumentException if it is quantized
   */
  public static void requireFloats(ModelConfig config) {
    if (config.quantization().isPresent()) {
      throw new IllegalArgumentException(
          "config.json: expected a model that is not quantized, found "
              + config.quantization().scheme());
    }
  }

  private static HadamardFold fold(ModelConfig config) {
    try {
      return HadamardFold.of(config);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "d_model %d, inner width %d: %s; --no-rotation leaves the rotation out"
              .formatted(config.modelDim(), config.mixer().innerDim(), e.getMessage()),
          e);
    }
  }

  private boolean grouping(ModelConfig config) {
    return recipe.uses(Technique.GROUPING)
        && recipe.scheme().quantizesActivations()
        && config.mixer() instanceof Mamba2;
  }

  private ChannelGroups channelGroups(ModelConfig config, Ranges ranges, int layer) {
    float[] statistic = ranges.of(new Site(layer, Tap.X_OUT)).most();
    return ChannelGroups.of(config.mixer().dims(), statistic, means.clustering());
  }

  /** All but the state, which costs most to measure, unless that is wanted too. */
  private Set<Tap> measured() {
    return recipe.uses(Technique.STATIC_STATE)
        ? EnumSet.allOf(Tap.class)
        : EnumSet.complementOf(EnumSet.of(Tap.STATE));
  }

  private Map<String, Object> description(int layers, List<Integer> floatLayers) {
    Map<String, Object> description = new TreeMap<>();
    description.put("embedding", recipe.embedding().toString());
    description.put("head", recipe.head().toString());
    description.put(
        "techniques",
        recipe.techniques().stream()
            .sorted()
            .map(it -> it.name().toLowerCase(Locale.ROOT))
            .toList());
    if (recipe.scheme() == Scheme.W4AX) {
      description.put(
          "float_activation_layers", floatLayers.stream().filter(it -> it < layers).toList());
      description.put("float_activation_head", floatLayers.contains(layers));
      description.put("budget", recipe.budget());
    }
    return description;
  }

  /** One model on its way. */
  private final class Run {
    private final ModelConfig config;
    private final DraftModel floats;
    private final int[][] groups;
    private final SavedSteps saved;
    private final List<LayerReport> reports = new ArrayList<>();

    Run(ModelConfig config, DraftModel floats, int[][] groups, SavedSteps saved) {
      this.config = config;
      this.floats = floats;
      this.groups = groups;
      this.saved = saved;
    }

    Quantized quantize() {
      Ranges ranges = calibration.ranges(floats, measured());
      progress.accept("activations are measured");
      DraftModel draft = round("", ranges, List.of());
      if (recipe.scheme() == Scheme.W4AX) {
        BlockSearch search = new BlockSearch(calibration, floats, draft, progress);
        List<Integer> chosen = search.choose(config.layers(), recipe.budget());
        progress.accept(
            "layers with activations in floats, %d the head: %s"
                .formatted(config.layers(), chosen));
        reports.clear();
        draft =
            round("mixed ", ranges, chosen)
                .with(ConfigText.withRecipe(draft.config(), description(config.layers(), chosen)));
      }
      return new Quantized(draft, reports);
    }

    /**
     * Rounds everything.
     *
     * @param kind begins the names of the steps
     * @param floatLayers layers that keep their activations in floats, behind the last the head
     */
    private DraftModel round(String kind, Ranges ranges, List<Integer> floatLayers) {
      DraftModel draft = floats.with(floats.config());
      LayerRounding rounding =
          new LayerRounding(config, recipe, calibration, means, draft, ranges, floatLayers);
      step(draft, kind + "embedding", rounding::embedding);
      for (int layer = 0; layer < config.layers(); layer++) {
        int at = layer;
        step(draft, kind + "layer " + layer, () -> rounding.layer(at, groups[at]));
      }
      step(draft, kind + "head", rounding::head);
      return draft;
    }

    /** Does a step, or takes over what it has done before. */
    private void step(DraftModel draft, String name, Supplier<LayerReport> work) {
      LayerReport report =
          saved
              .restore(name, draft)
              .orElseGet(
                  () -> {
                    draft.mark();
                    LayerReport done = work.get();
                    saved.save(name, draft.sinceMark(), done);
                    return done;
                  });
      reports.add(report);
      progress.accept(report.toString());
    }
  }
}
