package quamba.udf.model;

import java.util.List;
import java.util.stream.IntStream;
import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.Linear;
import quamba.kernels.Norm;
import quamba.kernels.Tensor;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;

/** Makes a model of a checkpoint. */
public final class ModelLoader {
  private final ModelConfig config;
  private final ModelTensors tensors;
  private final TensorSource source;

  private ModelLoader(TensorSource source) {
    this.source = source;
    config = ModelConfig.parse(source.config());
    tensors = new ModelTensors(config);
    tensors.checkNames(source.names());
  }

  /**
   * Checks configuration, names, dtypes and shapes without a backend, for a driver that wants to
   * know before anything runs.
   *
   * @throws InvalidCheckpointException naming the key or tensor, expected and found
   */
  public static ModelConfig check(TensorSource source) {
    ModelLoader loader = new ModelLoader(source);
    source.names().forEach(name -> loader.tensors.take(source, name));
    for (int layer = 0; layer < loader.config.layers(); layer++) {
      loader.checkCodes(layer);
    }
    boolean own = source.names().contains(ModelTensors.HEAD);
    String head = own ? ModelTensors.HEAD : ModelTensors.EMBEDDING;
    loader.tensors.matrix(source, head).checkInput(loader.headInput().dtype());
    return loader.config;
  }

  /**
   * Checks that a checkpoint has what a format of states needs.
   *
   * @throws InvalidCheckpointException naming a tensor that is missing
   */
  public static void check(TensorSource source, StateFormat state) {
    int layers = new ModelLoader(source).config.layers();
    for (int layer = 0; layer < layers && state == StateFormat.I8_STATIC; layer++) {
      String name = QuantizedNames.scale(layer, QuantizedNames.Tap.STATE);
      if (!source.names().contains(name)) {
        throw new InvalidCheckpointException(
            "the state's format asks for static scales: missing tensor " + name);
      }
    }
  }

  /**
   * Loads weights one tensor at a time and allocates everything that the model will need.
   *
   * @param backend for this model alone: the model closes it; if this throws, the caller does
   * @param vocab ids that exist, which the tokenizer knows: at most the configuration's, whose
   *     further ids are never chosen
   * @throws InvalidCheckpointException naming the key or tensor, expected and found
   */
  public static MambaModel open(
      TensorSource source, Backend backend, Capacity capacity, int vocab) {
    return new ModelLoader(source).load(backend, capacity, vocab);
  }

  private MambaModel load(Backend backend, Capacity capacity, int vocab) {
    if (vocab < 1 || vocab > config.vocabulary().size()) {
      throw new InvalidCheckpointException(
          "vocabulary: the model has %d ids, the tokenizer %d"
              .formatted(config.vocabulary().size(), vocab));
    }
    Columns headInput = headInput();
    boolean own = source.names().contains(ModelTensors.HEAD);
    Tensor embedding =
        tensors
            .matrix(source, ModelTensors.EMBEDDING)
            .pack(backend, own ? DType.F32 : headInput.dtype());
    Tensor logits =
        own
            ? tensors.matrix(source, ModelTensors.HEAD).pack(backend, headInput.dtype())
            : embedding;
    Norm norm =
        new Norm(backend.upload(tensors.take(source, ModelTensors.FINAL_NORM)), config.epsilon());
    List<Block> blocks =
        IntStream.range(0, config.layers())
            .mapToObj(layer -> block(weights(backend, layer, capacity.state())))
            .toList();
    Head head =
        new Head(backend, norm, Flow.of(backend, headInput), new Linear(logits), capacity.slots());
    return new MambaModel(
        backend, config, capacity, vocab, new MambaModel.Layers(embedding, blocks, head));
  }

  private Columns headInput() {
    String name = QuantizedNames.HEAD_INPUT_SCALE;
    boolean codes = source.names().contains(name);
    float[] scales = codes ? LayerScales.read(tensors.take(source, name), name) : new float[0];
    return new Columns(0, config.modelDim(), scales);
  }

  private LayerScales scales(int layer) {
    return new LayerScales(source, tensors, config.mixer(), layer);
  }

  private Weights weights(Backend backend, int layer, StateFormat state) {
    String prefix = ModelTensors.prefix(layer);
    return new Weights(source, tensors, backend, prefix, scales(layer), state);
  }

  /** Refuses matrices of floats in a layer whose activations are codes. */
  private void checkCodes(int layer) {
    DType dtype = scales(layer).dtype();
    String prefix = ModelTensors.prefix(layer) + "mixer.";
    source.names().stream()
        .filter(name -> name.startsWith(prefix) && name.endsWith("_proj.weight"))
        .forEach(name -> tensors.matrix(source, name).checkInput(dtype));
  }

  private Block block(Weights weights) {
    if (config.mixer() instanceof Mamba1 mamba1) {
      return new Mamba1Block(config, mamba1, weights);
    }
    return new Mamba2Block(config, (Mamba2) config.mixer(), weights);
  }
}
