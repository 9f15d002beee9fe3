package quamba.udf.model;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Scan;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.ModelConfig.Mixer;
import quamba.udf.model.ModelConfig.Tie;

/** The tensors that a checkpoint must have: names and shapes, as the configuration decides them. */
final class ModelTensors {
  static final String EMBEDDING = "backbone.embedding.weight";
  static final String FINAL_NORM = "backbone.norm_f.weight";
  static final String HEAD = "lm_head.weight";

  private static final Set<DType> DTYPES = Set.of(DType.F32, DType.F16, DType.BF16);
  private static final int MAX_LAYERS = 10_000;
  private static final int NAMED_IN_MESSAGES = 5;

  private final ModelConfig config;
  private final Map<String, Shape> shapes = new LinkedHashMap<>();

  ModelTensors(ModelConfig config) {
    this.config = config;
    Shape table = Shape.of(config.vocabulary().rows(), config.modelDim());
    shapes.put(EMBEDDING, table);
    for (int layer = 0; layer < config.layers(); layer++) {
      addLayer(prefix(layer));
    }
    shapes.put(FINAL_NORM, Shape.of(config.modelDim()));
    shapes.put(HEAD, table);
  }

  /** What the names of a layer's tensors begin with. */
  static String prefix(int layer) {
    return "backbone.layers." + layer + ".";
  }

  private void addLayer(String prefix) {
    Mixer mixer = config.mixer();
    String name = prefix + "mixer.";
    int innerDim = mixer.innerDim();
    shapes.put(prefix + "norm.weight", Shape.of(config.modelDim()));
    shapes.put(name + "in_proj.weight", Shape.of(mixer.projected(), config.modelDim()));
    shapes.put(name + "conv1d.weight", Shape.of(mixer.convChannels(), 1, mixer.convWidth()));
    shapes.put(name + "conv1d.bias", Shape.of(mixer.convChannels()));
    if (mixer instanceof Mamba1 mamba1) {
      addMamba1(name, mamba1);
    } else if (mixer instanceof Mamba2 mamba2) {
      addMamba2(name, mamba2);
    }
    shapes.put(name + "D", Shape.of(mixer.dims().heads()));
    shapes.put(name + "out_proj.weight", Shape.of(config.modelDim(), innerDim));
  }

  private void addMamba1(String name, Mamba1 mixer) {
    int innerDim = mixer.innerDim();
    shapes.put(name + "x_proj.weight", Shape.of(mixer.selected(), innerDim));
    shapes.put(name + "dt_proj.weight", Shape.of(innerDim, mixer.dtRank()));
    shapes.put(name + "dt_proj.bias", Shape.of(innerDim));
    shapes.put(name + "A_log", Shape.of(innerDim, mixer.dims().stateDim()));
  }

  private void addMamba2(String name, Mamba2 mixer) {
    shapes.put(name + "dt_bias", Shape.of(mixer.dims().heads()));
    shapes.put(name + "A_log", Shape.of(mixer.dims().heads()));
    shapes.put(name + "norm.weight", Shape.of(mixer.innerDim()));
  }

  /** Refuses a checkpoint with other names than these; a tied head may be there or not. */
  void checkNames(Set<String> found) {
    Set<String> missing = new TreeSet<>(shapes.keySet());
    missing.removeAll(found);
    if (config.vocabulary().tie() == Tie.TIED) {
      missing.remove(HEAD);
    }
    Set<String> surplus = new TreeSet<>(found);
    surplus.removeAll(shapes.keySet());
    if (!missing.isEmpty() || !surplus.isEmpty()) {
      throw new InvalidCheckpointException(
          "checkpoint: missing tensors %s, surplus tensors %s"
              .formatted(listed(missing), listed(surplus)));
    }
  }

  private static String listed(Set<String> names) {
    List<String> first = names.stream().limit(NAMED_IN_MESSAGES).toList();
    int more = names.size() - first.size();
    return more == 0 ? first.toString() : first + " and " + more + " more";
  }

  /**
   * The tensor {@code name} of {@code source}, refused if dtype or shape is not what it must be.
   */
  HostTensor take(TensorSource source, String name) {
    HostTensor tensor = source.tensor(name);
    if (!DTYPES.contains(tensor.dtype())) {
      throw new InvalidCheckpointException(
          "tensor %s: dtype must be F32, F16 or BF16, found %s".formatted(name, tensor.dtype()));
    }
    if (!tensor.shape().equals(shapes.get(name))) {
      throw new InvalidCheckpointException(
          "tensor %s: shape must be %s, found %s"
              .formatted(name, shapes.get(name), tensor.shape()));
    }
    return tensor;
  }

  /** Refuses sizes that each may be but together make a model that cannot be addressed. */
  static void checkSizes(ModelConfig config) {
    Scan.Dims dims = config.mixer().dims();
    checkProduct("layers", config.layers(), 1, MAX_LAYERS);
    checkProduct("groups and states", dims.groups(), dims.stateDim(), ConfigObject.MAX_SIZE);
    checkProduct("states of a layer", dims.innerDim(), dims.stateDim(), Integer.MAX_VALUE);
    if (config.mixer().convWidth() < 2) {
      throw new InvalidCheckpointException("config.json: convolution width must be over 1");
    }
    ModelConfig.Mixer mixer = config.mixer();
    ModelTensors one =
        new ModelTensors(
            new ModelConfig(config.modelDim(), 1, config.epsilon(), config.vocabulary(), mixer));
    one.shapes.forEach((name, shape) -> checkProduct(name, shape.elements(), 1, Integer.MAX_VALUE));
  }

  private static void checkProduct(String what, long size, long times, long most) {
    if (size * times > most) {
      throw new InvalidCheckpointException(
          "config.json: %s: at most %d, found %d".formatted(what, most, size * times));
    }
  }
}
