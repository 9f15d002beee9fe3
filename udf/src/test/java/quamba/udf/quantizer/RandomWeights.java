package quamba.udf.quantizer;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import quamba.kernels.HostTensor;
import quamba.kernels.Scan;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;

/** A checkpoint in memory with random weights, whose tensors can be rewritten. */
final class RandomWeights implements TensorSource {
  private final String json;
  private final ModelConfig config;
  private final Random random = new Random(1);
  private final Map<String, HostTensor> tensors = new LinkedHashMap<>();

  RandomWeights(String json) {
    this.json = json;
    config = ModelConfig.parse(json);
    Shape table = Shape.of(config.vocabulary().rows(), config.modelDim());
    add("backbone.embedding.weight", 0, 1, table);
    for (int layer = 0; layer < config.layers(); layer++) {
      addLayer("backbone.layers." + layer + ".");
    }
    add("backbone.norm_f.weight", 1, 0.3, Shape.of(config.modelDim()));
  }

  private RandomWeights(RandomWeights original, FloatWeights rewritten) {
    json = original.json;
    config = original.config;
    original.tensors.forEach(
        (name, tensor) -> tensors.put(name, HostTensor.of(tensor.shape(), rewritten.values(name))));
  }

  private void addLayer(String layer) {
    int dim = config.modelDim();
    Scan.Dims dims = config.mixer().dims();
    int inner = dims.innerDim();
    int channels = config.mixer().convChannels();
    String mixer = layer + "mixer.";
    add(layer + "norm.weight", 1, 0.3, Shape.of(dim));
    add(mixer + "in_proj.weight", 0, 1 / Math.sqrt(dim), Shape.of(config.mixer().projected(), dim));
    add(mixer + "conv1d.weight", 0, 0.5, Shape.of(channels, 1, config.mixer().convWidth()));
    add(mixer + "conv1d.bias", 0, 0.2, Shape.of(channels));
    add(mixer + "D", 1, 0.3, Shape.of(dims.heads()));
    add(mixer + "out_proj.weight", 0, 1 / Math.sqrt(inner), Shape.of(dim, inner));
    if (config.mixer() instanceof Mamba1 mamba1) {
      add(mixer + "x_proj.weight", 0, 1 / Math.sqrt(inner), Shape.of(mamba1.selected(), inner));
      add(mixer + "dt_proj.weight", 0, 0.5, Shape.of(inner, mamba1.dtRank()));
      add(mixer + "dt_proj.bias", -1, 1, Shape.of(inner));
      add(mixer + "A_log", 0.5, 0.7, Shape.of(inner, dims.stateDim()));
    } else if (config.mixer() instanceof Mamba2) {
      add(mixer + "dt_bias", -1, 1, Shape.of(dims.heads()));
      add(mixer + "A_log", 0.5, 0.7, Shape.of(dims.heads()));
      add(mixer + "norm.weight", 1, 0.3, Shape.of(inner));
    }
  }

  private void add(String name, double mean, double deviation, Shape shape) {
    float[] values = new float[(int) shape.elements()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (mean + deviation * random.nextGaussian());
    }
    tensors.put(name, HostTensor.of(shape, values));
  }

  /** The same model with the tensors that {@code rewritten} has. */
  RandomWeights with(FloatWeights rewritten) {
    return new RandomWeights(this, rewritten);
  }

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
    return tensors.get(name);
  }
}
