package quamba.udf.recipe;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import quamba.kernels.DType;
import quamba.kernels.Half;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.calibration.Calibration;
import quamba.udf.calibration.MomentsBySite;
import quamba.udf.calibration.Ranges;
import quamba.udf.calibration.Site;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.QuantizedNames;
import quamba.udf.model.QuantizedNames.Tap;
import quamba.udf.quantizer.FloatWeights;
import quamba.udf.quantizer.Hessian;
import quamba.udf.quantizer.Matrix;
import quamba.udf.quantizer.Scheme;
import quamba.udf.quantizer.WeightFormat;
import quamba.udf.recipe.Recipe.Technique;

/** Rounds a draft's embedding, layers and head, one after the other in this order. */
final class LayerRounding {
  private final ModelConfig config;
  private final Recipe recipe;
  private final Calibration calibration;
  private final Recipe.Means means;
  private final DraftModel draft;
  private final Ranges ranges;
  private final List<Integer> floatLayers;
  private final ActivationScales scales;
  private final MatrixRounding rounding;

  /**
   * Rounds {@code draft}.
   *
   * @param ranges of the floats' activations
   * @param floatLayers layers, or behind the last the head, whose activations stay in floats
   */
  LayerRounding(
      ModelConfig config,
      Recipe recipe,
      Calibration calibration,
      Recipe.Means means,
      DraftModel draft,
      Ranges ranges,
      List<Integer> floatLayers) {
    this.config = config;
    this.recipe = recipe;
    this.calibration = calibration;
    this.means = means;
    this.draft = draft;
    this.ranges = ranges;
    this.floatLayers = floatLayers;
    scales = new ActivationScales(config, recipe, ranges);
    rounding = new MatrixRounding(means.threads());
  }

  /**
   * Rounds the embedding. Its rows meet no matrix, but what they add to the residual stream does,
   * that of the first layer with nothing else in it: so errors count by what {@code in_proj} makes
   * of them, {@code Σ w wᵀ} of its rows w being the Hessian.
   */
  LayerReport embedding() {
    String name = FloatWeights.EMBEDDING;
    String part = "embedding";
    TableFormat format = recipe.embedding();
    if (format == TableFormat.F16) {
      putHalves(name);
      return LayerReport.of(part, 0);
    }
    WeightFormat codes = format == TableFormat.I8 ? WeightFormat.INT8 : WeightFormat.INT4;
    if (!recipe.uses(Technique.GPTQ)) {
      return LayerReport.of(part, put(name, rounding.alone(matrix(name), codes)));
    }
    Matrix first = matrix("backbone.layers.0.mixer.in_proj.weight");
    Hessian sensitivity = new Hessian(first.in());
    sensitivity.add(first.values(), first.out(), means.threads());
    return LayerReport.of(
        part, put(name, rounding.forInputs(name, matrix(name), codes, sensitivity.matrix())));
  }

  /**
   * Rounds the matrices of a layer and chooses its activations' scales.
   *
   * @param groups (innerDim) of the channels of x after a Mamba2 convolution, 0, 1, …
   */
  LayerReport layer(int layer, int... groups) {
    Map<Tap, String> matrices = matrices();
    MomentsBySite moments = moments(layer, matrices.keySet());
    Map<String, Double> errors = new TreeMap<>();
    matrices.forEach(
        (tap, matrix) -> {
          String name = "backbone.layers.%d.mixer.%s.weight".formatted(layer, matrix);
          errors.put(matrix, round(name, format(layer, matrix), new Site(layer, tap), moments));
        });
    if (recipe.uses(Technique.STATIC_STATE)) {
      scales.putState(draft, layer);
    }
    double saturated = 0;
    if (codes(layer)) {
      scales.put(draft, layer, groups);
      for (Tap tap : matrices.keySet()) {
        saturated = Math.max(saturated, scales.saturated(layer, tap));
      }
    }
    return new LayerReport("layer " + layer, errors, saturated);
  }

  /** Rounds the head, whose input is seen as that of a layer behind the last. */
  LayerReport head() {
    String name = FloatWeights.HEAD;
    String part = "lm_head";
    if (recipe.head() == TableFormat.F16) {
      putHalves(name);
      return LayerReport.of(part, 0);
    }
    int behind = config.layers();
    Tap tap = Tap.IN_PROJ_INPUT;
    WeightFormat four = codes(behind) ? WeightFormat.INT4_AS_INT8 : WeightFormat.INT4;
    WeightFormat format = recipe.head() == TableFormat.I8 ? WeightFormat.INT8 : four;
    double error = round(name, format, new Site(behind, tap), moments(behind, List.of(tap)));
    double saturated = 0;
    if (codes(behind)) {
      draft.put(
          QuantizedNames.HEAD_INPUT_SCALE, HostTensor.of(Shape.of(1), scales.shared(behind, tap)));
      saturated = scales.saturated(behind, tap);
    }
    return new LayerReport(part, Map.of(part, error), saturated);
  }

  /** Whether a layer's activations, or behind the last the head's, are int8. */
  private boolean codes(int layer) {
    return recipe.scheme().quantizesActivations() && !floatLayers.contains(layer);
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
  private WeightFormat format(int layer, String matrix) {
    if (recipe.scheme() == Scheme.W8A8 || matrix.equals("dt_proj")) {
      return WeightFormat.INT8;
    }
    return codes(layer) ? WeightFormat.INT4_AS_INT8 : WeightFormat.INT4;
  }

  /** Of a layer's inputs, the layers before it rounded; nothing without GPTQ. */
  private MomentsBySite moments(int layer, Iterable<Tap> taps) {
    if (!recipe.uses(Technique.GPTQ)) {
      return new MomentsBySite(Map.of());
    }
    Map<Site, float[]> most = new LinkedHashMap<>();
    for (Tap tap : taps) {
      Site site = new Site(layer, tap);
      most.put(site, ranges.of(site).most());
    }
    int layers = Math.min(layer + 1, config.layers());
    return calibration.moments(draft.first(layers), most);
  }

  /** Rounds a matrix, its inputs with the noise of their scale, and says the error. */
  private double round(String name, WeightFormat format, Site site, MomentsBySite moments) {
    Matrix weight = matrix(name);
    if (!moments.wants(site)) {
      return put(name, rounding.alone(weight, format));
    }
    double[] hessian = moments.of(site).hessian();
    if (codes(site.layer())) {
      double scale = scales.shared(site.layer(), site.tap());
      for (int i = 0; i < weight.in(); i++) {
        hessian[i * weight.in() + i] += scale * scale / 6; // twice the variance of rounding
      }
    }
    return put(name, rounding.forInputs(name, weight, format, hessian));
  }

  private Matrix matrix(String name) {
    Shape shape = draft.shape(name);
    return new Matrix(shape.dim(0), shape.dim(1), draft.values(name));
  }

  private double put(String name, MatrixRounding.Rounded rounded) {
    draft.put(name, rounded.weight().codes());
    draft.put(QuantizedNames.scale(name), rounded.weight().scales());
    return rounded.error();
  }

  private void putHalves(String name) {
    float[] values = draft.values(name);
    ByteBuffer data =
        ByteBuffer.allocate(Math.multiplyExact(values.length, Short.BYTES))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      data.putShort(Half.bits(value));
    }
    draft.put(name, new HostTensor(DType.F16, draft.shape(name), data.flip()));
  }
}
