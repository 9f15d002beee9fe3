package quamba.udf.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;

/**
 * A model with random weights: a checkpoint in memory, and the exact values of its tensors for
 * {@link ModelOracle}.
 */
public final class RandomModel implements TensorSource, ModelOracle.Values {
  private final String json;
  private final ModelConfig config;
  private final DType[] dtypes;
  private final Random random = new Random(1);
  private final Map<String, HostTensor> tensors = new LinkedHashMap<>();
  private final Map<String, double[]> values = new LinkedHashMap<>();

  /**
   * @param json config.json
   * @param dtypes of the tensors, one after the other, over and over
   */
  public RandomModel(String json, DType... dtypes) {
    this.json = json;
    this.dtypes = dtypes;
    config = ModelConfig.parse(json);
    int dim = config.modelDim();
    Shape table = Shape.of(config.vocabulary().rows(), dim);
    add("backbone.embedding.weight", table, 0, 1);
    for (int layer = 0; layer < config.layers(); layer++) {
      addLayer("backbone.layers." + layer + ".");
    }
    add("backbone.norm_f.weight", Shape.of(dim), 1, 0.1);
    if (config.vocabulary().tie() == ModelConfig.Tie.UNTIED) {
      add("lm_head.weight", table, 0, 1 / Math.sqrt(dim));
    }
  }

  private void addLayer(String layer) {
    int dim = config.modelDim();
    int inner = config.mixer().innerDim();
    int heads = config.mixer().dims().heads();
    int states = config.mixer().dims().stateDim();
    add(layer + "norm.weight", Shape.of(dim), 1, 0.1);
    String mixer = layer + "mixer.";
    int channels;
    if (config.mixer() instanceof Mamba1 mamba1) {
      channels = inner;
      int selected = mamba1.dtRank() + 2 * states;
      add(mixer + "in_proj.weight", Shape.of(2 * inner, dim), 0, 1 / Math.sqrt(dim));
      add(mixer + "x_proj.weight", Shape.of(selected, inner), 0, 1 / Math.sqrt(inner));
      add(mixer + "dt_proj.weight", Shape.of(inner, mamba1.dtRank()), 0, 0.5);
      add(mixer + "dt_proj.bias", Shape.of(inner), -1, 1);
      add(mixer + "A_log", Shape.of(inner, states), 0.5, 0.7);
    } else {
      int groups = ((Mamba2) config.mixer()).dims().groups();
      channels = inner + 2 * groups * states;
      add(mixer + "in_proj.weight", Shape.of(inner + channels + heads, dim), 0, 1 / Math.sqrt(dim));
      add(mixer + "dt_bias", Shape.of(heads), -1, 1);
      add(mixer + "A_log", Shape.of(heads), 0.5, 0.7);
      add(mixer + "norm.weight", Shape.of(inner), 1, 0.1);
    }
    add(mixer + "conv1d.weight", Shape.of(channels, 1, config.mixer().convWidth()), 0, 0.5);
    add(mixer + "conv1d.bias", Shape.of(channels), 0, 0.2);
    add(mixer + "D", Shape.of(heads), 1, 0.3);
    add(mixer + "out_proj.weight", Shape.of(dim, inner), 0, 1 / Math.sqrt(inner));
  }

  /** Adds or replaces a tensor of normally distributed values. */
  void add(String name, Shape shape, double mean, double deviation) {
    DType dtype = dtypes[tensors.size() % dtypes.length];
    int count = (int) shape.elements();
    double[] exact = new double[count];
    ByteBuffer data =
        ByteBuffer.allocateDirect(count * dtype.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < count; i++) {
      exact[i] = put(data, dtype, (float) (mean + deviation * random.nextGaussian()));
    }
    tensors.put(name, new HostTensor(dtype, shape, data.flip()));
    values.put(name, exact);
  }

  /** Cuts {@code value} to the dtype and says what is left. */
  private static double put(ByteBuffer data, DType dtype, float value) {
    int bits = Float.floatToIntBits(value);
    switch (dtype) {
      case F32 -> data.putFloat(value);
      case BF16 -> {
        data.putShort((short) (bits >>> 16));
        bits &= 0xffff0000;
      }
      case F16 -> {
        int exponent = ((bits >>> 23) & 0xff) - 112; // bias 127 becomes 15
        bits = exponent > 0 ? bits & 0xffffe000 : 0;
        int sign = (bits >>> 16) & 0x8000;
        int fraction = (bits >>> 13) & 0x3ff;
        int half = bits == 0 ? 0 : (sign | (exponent << 10) | fraction);
        data.putShort((short) half);
      }
      default -> throw new IllegalArgumentException(dtype.toString());
    }
    return Float.intBitsToFloat(bits);
  }

  @Override
  public ModelConfig parsed() {
    return config;
  }

  /** The tensors, to be changed by a test. */
  Map<String, HostTensor> tensors() {
    return tensors;
  }

  /** The exact values of a tensor. */
  @Override
  public double[] values(String name) {
    return values.get(name);
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
    return tensors.get(name);
  }
}
