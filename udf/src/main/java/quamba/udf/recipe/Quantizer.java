package quamba.udf.recipe;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import quamba.kernels.DType;
import quamba.kernels.Half;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.calibration.Calibration;
import quamba.udf.calibration.MomentsBySite;
import quamba.udf.calibration.Ranges;
import quamba.udf.calibration.Site;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.QuantizedNames;
import quamba.udf.model.QuantizedNames.Tap;
import quamba.udf.quantizer.ChannelGroups;
import quamba.udf.quantizer.FloatWeights;
import quamba.udf.quantizer.HadamardFold;
import quamba.udf.quantizer.Matrix;
import quamba.udf.quantizer.Scheme;
import quamba.udf.quantizer.WeightFormat;
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
  private final MatrixRounding rounding;

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
    rounding = new MatrixRounding(means.threads());
  }

  /**
   * Quantizes a model of floats.
   *
   * @throws IllegalArgumentException if it is quantized already, or its sizes do not allow the
   *     recipe
   */
  public Quantized quantize(TensorSource source) {
    ModelConfig config = ModelLoader.check(source);
    if (config.quantization().isPresent()) {
      throw new IllegalArgumentException(
          "config.json: expected a model that is not quantized, found "
              + config.quantization().scheme());
    }
    FloatWeights weights = FloatWeights.of(source);
    List<int[]> groups = ownGroups(config);
    if (grouping(config)) {
      Ranges ranges = calibration.ranges(source);
      List<ChannelGroups> layers =
          IntStream.range(0, config.layers())
              .mapToObj(layer -> channelGroups(config, ranges, layer))
              .toList();
      weights = WeightPermutation.of(config, layers).over(weights);
      groups = layers.stream().map(ChannelGroups::groups).toList();
      progress.accept("channels are grouped");
    }
    boolean rotated = recipe.uses(Technique.ROTATION);
    if (rotated) {
      weights = HadamardFold.of(config).over(weights);
    }
    String text =
        ConfigText.quantized(
            source.config(),
            recipe.scheme().flag(),
            rotated ? "hadamard" : "none",
            description(List.of()));
    Run run = new Run(config, DraftModel.of(text, weights, source), groups);
    return run.quantize();
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

  /** Every channel its own group. */
  private static List<int[]> ownGroups(ModelConfig config) {
    int[] own = IntStream.range(0, config.mixer().innerDim()).toArray();
    return IntStream.range(0, config.layers()).mapToObj(layer -> own).toList();
  }

  private Map<String, Object> description(List<Integer> floatLayers) {
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
      description.put("float_activation_layers", floatLayers);
      description.put("budget", recipe.budget());
    }
    return description;
  }

  /** One model on its way. */
  private final class Run {
    private final ModelConfig config;
    private final DraftModel draft;
    private final List<int[]> groups;
    private final List<LayerReport> reports = new ArrayList<>();
    private final DraftModel floats;

    Run(ModelConfig config, DraftModel draft, List<int[]> groups) {
      this.config = config;
      this.draft = draft;
      this.groups = groups;
      floats = draft.with(draft.config());
    }

    Quantized quantize() {
      Ranges ranges = calibration.ranges(draft);
      progress.accept("activations are measured");
      ActivationScales scales = new ActivationScales(config, ranges);
      table(FloatWeights.EMBEDDING, recipe.embedding());
      for (int layer = 0; layer < config.layers(); layer++) {
        layer(layer, ranges, scales);
      }
      head(ranges, scales);
      DraftModel result = draft;
      if (recipe.scheme() == Scheme.W4AX) {
        BlockSearch search = new BlockSearch(calibration, floats, draft, progress);
        List<Integer> chosen = search.choose(config.layers(), recipe.budget());
        result =
            BlockSearch.withFloats(draft, chosen)
                .with(ConfigText.withRecipe(draft.config(), description(chosen)));
      }
      return new Quantized(result, reports);
    }

    private void layer(int layer, Ranges ranges, ActivationScales scales) {
      Map<Tap, String> matrices = matrices();
      MomentsBySite moments = moments(layer, matrices.keySet(), ranges);
      Map<String, Double> errors = new TreeMap<>();
      matrices.forEach(
          (tap, matrix) -> {
            String name = "backbone.layers.%d.mixer.%s.weight".formatted(layer, matrix);
            double noise = codes() ? scales.shared(layer, tap) : 0;
            errors.put(matrix, round(name, format(matrix), new Site(layer, tap), moments, noise));
          });
      double saturated = 0;
      if (codes()) {
        scales.put(draft, layer, groups.get(layer));
        for (Tap tap : matrices.keySet()) {
          saturated = Math.max(saturated, scales.saturated(layer, tap));
        }
      }
      report(new LayerReport(layer, errors, saturated));
    }

    private void report(LayerReport report) {
      reports.add(report);
      progress.accept(report.toString());
    }

    private void head(Ranges ranges, ActivationScales scales) {
      int behind = config.layers();
      Tap tap = Tap.IN_PROJ_INPUT;
      if (recipe.head() == TableFormat.F16) {
        table(FloatWeights.HEAD, TableFormat.F16);
        return;
      }
      MomentsBySite moments = moments(behind, List.of(tap), ranges);
      WeightFormat format =
          recipe.head() == TableFormat.I8
              ? WeightFormat.INT8
              : codes() ? WeightFormat.INT4_AS_INT8 : WeightFormat.INT4;
      double noise = codes() ? scales.shared(behind, tap) : 0;
      double error = round(FloatWeights.HEAD, format, new Site(behind, tap), moments, noise);
      double saturated = 0;
      if (codes()) {
        draft.put(
            QuantizedNames.HEAD_INPUT_SCALE,
            HostTensor.of(Shape.of(1), scales.shared(behind, tap)));
        saturated = scales.saturated(behind, tap);
      }
      report(new LayerReport(behind, Map.of("lm_head", error), saturated));
    }

    private boolean codes() {
      return recipe.scheme().quantizesActivations();
    }

    /** The matrices of a layer by where their inputs are seen. */
    private Map<Tap, String> matrices() {
      Map<Tap, String> matrices = new LinkedHashMap<>();
      matrices.put(Tap.IN_PROJ_INPUT, "in_proj");
      if (config.mixer() instanceof Mamba1) {
        matrices.put(Tap.X_OUT, "x_proj");
        matrices.put(Tap.DT_PROJ_INPUT, "dt_proj");
      }
      matrices.put(Tap.OUT_PROJ_INPUT, "out_proj");
      return matrices;
    }

    /** dt_proj is small, and dt sits in an exponent. */
    private WeightFormat format(String matrix) {
      if (recipe.scheme() == Scheme.W8A8 || matrix.equals("dt_proj")) {
        return WeightFormat.INT8;
      }
      return codes() ? WeightFormat.INT4_AS_INT8 : WeightFormat.INT4;
    }

    /** Of a layer's inputs, the layers before it rounded; nothing without GPTQ. */
    private MomentsBySite moments(int layer, Iterable<Tap> taps, Ranges ranges) {
      Map<Site, float[]> most = new LinkedHashMap<>();
      for (Tap tap : taps) {
        Site site = new Site(layer, tap);
        most.put(site, ranges.of(site).most());
      }
      return recipe.uses(Technique.GPTQ)
          ? calibration.moments(draft.first(Math.min(layer + 1, config.layers())), most)
          : new MomentsBySite(Map.of());
    }

    /** Rounds a matrix, its inputs with the noise of their scale, and says the error. */
    private double round(
        String name, WeightFormat format, Site site, MomentsBySite moments, double scale) {
      Shape shape = draft.shape(name);
      Matrix weight = new Matrix(shape.dim(0), shape.dim(1), draft.values(name));
      MatrixRounding.Rounded rounded;
      if (moments.wants(site)) {
        double[] hessian = moments.of(site).hessian();
        for (int i = 0; i < weight.in(); i++) {
          hessian[i * weight.in() + i] += scale * scale / 6; // twice the variance of rounding
        }
        rounded = rounding.forInputs(name, weight, format, hessian);
      } else {
        rounded = rounding.alone(weight, format);
      }
      put(name, rounded);
      return rounded.error();
    }

    private void put(String name, MatrixRounding.Rounded rounded) {
      draft.put(name, rounded.codes().codes());
      draft.put(QuantizedNames.scale(name), rounded.codes().scales());
    }

    private void table(String name, TableFormat format) {
      Shape shape = draft.shape(name);
      float[] values = draft.values(name);
      switch (format) {
        case F16 -> draft.put(name, halves(shape, values));
        case I8, I4 -> {
          Matrix table = new Matrix(shape.dim(0), shape.dim(1), values);
          put(
              name,
              rounding.alone(
                  table, format == TableFormat.I8 ? WeightFormat.INT8 : WeightFormat.INT4));
        }
      }
    }

    private static HostTensor halves(Shape shape, float[] values) {
      ByteBuffer data =
          ByteBuffer.allocate(values.length * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      for (float value : values) {
        data.putShort(Half.bits(value));
      }
      return new HostTensor(DType.F16, shape, data.flip());
    }
  }
}
