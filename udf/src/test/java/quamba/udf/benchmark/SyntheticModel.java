package quamba.udf.benchmark;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.DoubleUnaryOperator;
import java.util.function.Supplier;
import quamba.kernels.DType;
import quamba.kernels.Half;
import quamba.kernels.HostTensor;
import quamba.kernels.QuantizedWeight.Int4;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.QuantizedNames;
import quamba.udf.model.QuantizedNames.Tap;
import quamba.udf.quantizer.Scheme;
import quamba.udf.recipe.Recipe;
import quamba.udf.recipe.TableFormat;

/**
 * A quantized checkpoint of random weights in a true shape, whose tensors are made when they are
 * asked for: always the same of a seed. Values are such that what flows through a layer is about
 * normal with deviation 1 wherever a norm or a matrix leads, that few codes are held to their range
 * and that recurrences forget as those of trained models do.
 */
final class SyntheticModel implements TensorSource {
  private static final String EMBEDDING = "backbone.embedding.weight";
  private static final String HEAD = "lm_head.weight";

  /** Deviations of {@link RandomBytes}' codes. */
  private static final double NIBBLE_DEVIATION = Math.sqrt(2 * 140 / 16.0);

  private static final double BYTE_DEVIATION = Math.sqrt(2 * 127 * 128 * 255 / 6.0 / 256);

  /** Scale of what is about normal with deviation 1. */
  private static final double UNIT = 4.0 / 127;

  /** Scale of what a convolution of such and SiLU make. */
  private static final double ACTIVATED = 2.5 / 127;

  /** What undoes that a convolution's output is smaller than its input. */
  private static final double AFTER_CONVOLUTION = 2.7;

  /** Deviation of Mamba1's gated output. */
  private static final double GATED = 0.2;

  /** Wide enough that a few ids share most of the probability. */
  private static final double LOGITS_DEVIATION = 2.5;

  private final String json;
  private final ModelConfig config;
  private final Scheme scheme;
  private final long seed;
  private final Map<String, Supplier<HostTensor>> tensors = new LinkedHashMap<>();
  private Map<String, HostTensor> last = Map.of(); // a matrix is asked for part by part
  private long nanoseconds;

  SyntheticModel(ModelShape shape, Scheme scheme, long seed) {
    this.scheme = scheme;
    this.seed = seed;
    json = shape.config(scheme);
    config = ModelConfig.parse(json);
    int rows = config.vocabulary().rows();
    int dim = config.modelDim();
    boolean bytes = Recipe.table(scheme) == TableFormat.I8;
    addMatrix(EMBEDDING, rows, dim, Math.sqrt(dim), bytes);
    for (int layer = 0; layer < config.layers(); layer++) {
      addLayer(layer, "backbone.layers." + layer + ".");
    }
    addSame("backbone.norm_f.weight", 1, dim);
    addMatrix(HEAD, rows, dim, LOGITS_DEVIATION, bytes);
    if (scheme.quantizesActivations()) {
      addSame(QuantizedNames.HEAD_INPUT_SCALE, UNIT, 1);
    }
  }

  private void addLayer(int layer, String prefix) {
    int dim = config.modelDim();
    int inner = config.mixer().innerDim();
    int heads = config.mixer().dims().heads();
    String mixer = prefix + "mixer.";
    addSame(prefix + "norm.weight", 1, dim);
    addWeight(mixer + "in_proj.weight", config.mixer().projected(), dim, 1);
    int channels = config.mixer().convChannels();
    int taps = config.mixer().convWidth();
    addFloats(mixer + "conv1d.weight", Shape.of(channels, 1, taps), u -> u - 0.5);
    addFloats(mixer + "conv1d.bias", Shape.of(channels), u -> 0.2 * u - 0.1);
    addSame(mixer + "D", 1, heads);
    if (config.mixer() instanceof Mamba1 mamba1) {
      addMamba1(mixer, mamba1);
    } else {
      addFloats(mixer + "dt_bias", Shape.of(heads), SyntheticModel::timeStepBias);
      addFloats(mixer + "A_log", Shape.of(heads), u -> Math.log(1 + 15 * u));
      addSame(mixer + "norm.weight", 1, inner);
      addWeight(mixer + "out_proj.weight", dim, inner, 1);
    }
    addScales(layer);
  }

  private void addMamba1(String mixer, Mamba1 mamba1) {
    int inner = mamba1.innerDim();
    int states = mamba1.dims().stateDim();
    addWeight(mixer + "x_proj.weight", mamba1.selected(), inner, AFTER_CONVOLUTION);
    addWeight(mixer + "dt_proj.weight", inner, mamba1.dtRank(), 1);
    addFloats(mixer + "dt_proj.bias", Shape.of(inner), SyntheticModel::timeStepBias);
    float[] logs = new float[inner * states];
    for (int i = 0; i < logs.length; i++) {
      logs[i] = (float) Math.log(1 + i % states);
    }
    tensors.put(mixer + "A_log", () -> HostTensor.of(Shape.of(inner, states), logs));
    addWeight(mixer + "out_proj.weight", config.modelDim(), inner, 1 / GATED);
  }

  /** What softplus makes a time step of 0.001 to 0.1 of, evenly in logarithms. */
  private static double timeStepBias(double uniform) {
    return Math.log(Math.expm1(0.001 * Math.pow(100, uniform)));
  }

  private void addScales(int layer) {
    addScale(layer, Tap.STATE, 0.05 / 127, 1);
    if (!scheme.quantizesActivations()) {
      return;
    }
    int inner = config.mixer().innerDim();
    int bc = config.mixer().dims().groups() * config.mixer().dims().stateDim();
    boolean gated = config.mixer() instanceof Mamba2;
    addScale(layer, Tap.IN_PROJ_INPUT, UNIT, 1);
    addScale(layer, Tap.Z, UNIT, inner);
    addScale(layer, Tap.X_IN, UNIT, inner);
    addScale(layer, Tap.OUT_PROJ_INPUT, gated ? UNIT : UNIT * GATED, 1);
    if (gated) {
      addScale(layer, Tap.B_IN, UNIT, bc);
      addScale(layer, Tap.C_IN, UNIT, bc);
    } else {
      addScale(layer, Tap.DT_PROJ_INPUT, UNIT, 1);
    }
    addScale(layer, Tap.X_OUT, ACTIVATED, gated ? inner : 1);
    for (Tap tap : List.of(Tap.B_OUT, Tap.C_OUT)) { // equal within a group
      addFloats(QuantizedNames.scale(layer, tap), Shape.of(bc), u -> gated ? ACTIVATED : UNIT);
    }
  }

  /** One scale, or a scale for each column, no smaller. */
  private void addScale(int layer, Tap tap, double scale, int count) {
    String name = QuantizedNames.scale(layer, tap);
    addFloats(name, Shape.of(count), u -> count == 1 ? scale : scale * (1 + 0.3 * u));
  }

  private void addSame(String name, double value, int count) {
    addFloats(name, Shape.of(count), u -> value);
  }

  /** Makes each element of a number from 0 to 1. */
  private void addFloats(String name, Shape shape, DoubleUnaryOperator element) {
    tensors.put(name, () -> HostTensor.of(shape, floats(name, shape, element)));
  }

  private float[] floats(String name, Shape shape, DoubleUnaryOperator element) {
    SplittableRandom random = new SplittableRandom(RandomBytes.seed(name, seed));
    float[] values = new float[(int) shape.elements()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) element.applyAsDouble(random.nextDouble());
    }
    return values;
  }

  private void addWeight(String name, int out, int in, double gain) {
    addMatrix(name, out, in, gain, scheme == Scheme.W8A8);
  }

  /**
   * A matrix (out, in) of codes.
   *
   * @param gain deviation of outputs for inputs of deviation 1
   * @param bytes whether codes have 8 bits, else 4
   */
  private void addMatrix(String name, int out, int in, double gain, boolean bytes) {
    double deviation = gain / Math.sqrt(in);
    long own = RandomBytes.seed(name, seed);
    if (bytes) {
      tensors.put(
          name,
          () ->
              new HostTensor(
                  DType.I8,
                  Shape.of(out, in),
                  ByteBuffer.wrap(RandomBytes.codes(Math.multiplyExact(out, in), own))));
      addHalves(QuantizedNames.scale(name), Shape.of(out), deviation / BYTE_DEVIATION);
    } else {
      tensors.put(
          name,
          () ->
              new HostTensor(
                  DType.U8,
                  Shape.of(out, in / 2),
                  ByteBuffer.wrap(RandomBytes.nibbles(Math.multiplyExact(out, in / 2), own))));
      Shape scales = Shape.of(out, (in + Int4.GROUP - 1) / Int4.GROUP);
      addHalves(QuantizedNames.scale(name), scales, deviation / NIBBLE_DEVIATION);
    }
  }

  /** Scales from 0.7 to 1.3 of {@code scale}. */
  private void addHalves(String name, Shape shape, double scale) {
    tensors.put(
        name,
        () -> {
          float[] values = floats(name, shape, u -> scale * (0.7 + 0.6 * u));
          ByteBuffer halves =
              ByteBuffer.allocate(values.length * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
          for (float value : values) {
            halves.putShort(Half.bits(value));
          }
          return new HostTensor(DType.F16, shape, halves.flip());
        });
  }

  /** Seconds that making tensors has taken so far. */
  double seconds() {
    return nanoseconds / 1e9;
  }

  /** What the configuration says. */
  ModelConfig parsed() {
    return config;
  }

  @Override
  public String config() {
    return json;
  }

  @Override
  public Set<String> names() {
    return tensors.keySet();
  }

  @Override
  public HostTensor tensor(String name) {
    if (!tensors.containsKey(name)) {
      throw new InvalidCheckpointException("no tensor " + name);
    }
    if (!last.containsKey(name)) {
      long start = System.nanoTime();
      HostTensor made = tensors.get(name).get();
      nanoseconds += System.nanoTime() - start;
      if (!List.of(DType.I8, DType.U8).contains(made.dtype())) {
        return made;
      }
      last = Map.of(name, made);
    }
    return last.get(name);
  }
}
