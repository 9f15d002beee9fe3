package quamba.udf.model;

import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.QuantizedWeight.Int4;
import quamba.kernels.Scan;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.ModelConfig.Mixer;
import quamba.udf.model.ModelConfig.Tie;

/**
 * The tensors that a checkpoint must have, and in a quantized one may have: names and shapes, as
 * the configuration decides them.
 */
final class ModelTensors {
  static final String EMBEDDING = "backbone.embedding.weight";
  static final String FINAL_NORM = "backbone.norm_f.weight";
  static final String HEAD = "lm_head.weight";

  private static final Set<DType> FLOATS = EnumSet.of(DType.F32, DType.F16, DType.BF16);
  private static final Set<DType> CODES = EnumSet.of(DType.I8, DType.U8);
  private static final Set<DType> SCALES = EnumSet.of(DType.F16, DType.F32);
  private static final int MAX_LAYERS = 10_000;
  private static final int NAMED_IN_MESSAGES = 5;

  private final ModelConfig config;
  private final Map<String, Shape> shapes = new LinkedHashMap<>(); // all but the next three
  private final Map<String, Shape> matrices = new LinkedHashMap<>(); // that may be codes
  private final Map<String, String> weightScales = new LinkedHashMap<>(); // with their matrices
  private final Map<String, Shape> tapScales = new LinkedHashMap<>();

  ModelTensors(ModelConfig config) {
    this.config = config;
    Shape table = Shape.of(config.vocabulary().rows(), config.modelDim());
    matrices.put(EMBEDDING, table);
    for (int layer = 0; layer < config.layers(); layer++) {
      addLayer(prefix(layer));
    }
    shapes.put(FINAL_NORM, Shape.of(config.modelDim()));
    matrices.put(HEAD, table);
    if (config.quantization().isPresent()) {
      addScales();
    }
  }

  private void addScales() {
    matrices.keySet().forEach(name -> weightScales.put(QuantizedNames.scale(name), name));
    tapScales.put(QuantizedNames.HEAD_INPUT_SCALE, Shape.of(1));
    for (int layer = 0; layer < config.layers(); layer++) {
      for (QuantizedNames.Tap tap : LayerScales.taps(config.mixer())) {
        tapScales.put(QuantizedNames.scale(layer, tap), LayerScales.shape(config, tap));
      }
    }
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
    matrices.put(name + "in_proj.weight", Shape.of(mixer.projected(), config.modelDim()));
    shapes.put(name + "conv1d.weight", Shape.of(mixer.convChannels(), 1, mixer.convWidth()));
    shapes.put(name + "conv1d.bias", Shape.of(mixer.convChannels()));
    if (mixer instanceof Mamba1 mamba1) {
      addMamba1(name, mamba1);
    } else if (mixer instanceof Mamba2 mamba2) {
      addMamba2(name, mamba2);
    }
    shapes.put(name + "D", Shape.of(mixer.dims().heads()));
    matrices.put(name + "out_proj.weight", Shape.of(config.modelDim(), innerDim));
  }

  private void addMamba1(String name, Mamba1 mixer) {
    int innerDim = mixer.innerDim();
    matrices.put(name + "x_proj.weight", Shape.of(mixer.selected(), innerDim));
    matrices.put(name + "dt_proj.weight", Shape.of(innerDim, mixer.dtRank()));
    shapes.put(name + "dt_proj.bias", Shape.of(innerDim));
    shapes.put(name + "A_log", Shape.of(innerDim, mixer.dims().stateDim()));
  }

  private void addMamba2(String name, Mamba2 mixer) {
    shapes.put(name + "dt_bias", Shape.of(mixer.dims().heads()));
    shapes.put(name + "A_log", Shape.of(mixer.dims().heads()));
    shapes.put(name + "norm.weight", Shape.of(mixer.innerDim()));
  }

  /**
   * Refuses a checkpoint with other names than these; a tied head may be there or not, and scales
   * in a quantized one.
   */
  void checkNames(Set<String> found) {
    Set<String> missing = new TreeSet<>(shapes.keySet());
    missing.addAll(matrices.keySet());
    missing.removeAll(found);
    if (config.vocabulary().tie() == Tie.TIED) {
      missing.remove(HEAD);
    }
    Set<String> surplus = new TreeSet<>(found);
    surplus.removeAll(shapes.keySet());
    surplus.removeAll(matrices.keySet());
    surplus.removeAll(weightScales.keySet());
    surplus.removeAll(tapScales.keySet());
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

  /** The tensor {@code name} of {@code source}, refused if it is not what it must be. */
  HostTensor take(TensorSource source, String name) {
    if (matrices.containsKey(name)) {
      return matrix(source, name).weight();
    }
    if (weightScales.containsKey(name)) {
      return weightScale(source, name);
    }
    HostTensor tensor = source.tensor(name);
    if (tapScales.containsKey(name)) {
      checkDType(name, tensor, EnumSet.of(DType.F32));
      if (!isSpreadOver(tensor.shape(), tapScales.get(name))) {
        checkShape(name, tensor, tapScales.get(name));
      }
    } else {
      checkDType(name, tensor, FLOATS);
      checkShape(name, tensor, shapes.get(name));
    }
    return tensor;
  }

  /** Whether scales of this shape are one for all, or shared along extents of a state. */
  private static boolean isSpreadOver(Shape found, Shape full) {
    boolean fits = found.rank() == full.rank() && full.rank() > 1;
    for (int axis = 0; fits && axis < full.rank(); axis++) {
      fits = found.dim(axis) == 1 || found.dim(axis) == full.dim(axis);
    }
    return fits || found.equals(Shape.of(1));
  }

  /** The matrix {@code name} of {@code source} with its scales if it is of codes. */
  StoredMatrix matrix(TensorSource source, String name) {
    HostTensor weight = source.tensor(name);
    boolean codes = config.quantization().isPresent() && StoredMatrix.isCodes(weight.dtype());
    checkDType(name, weight, codes ? CODES : FLOATS);
    Shape shape = matrices.get(name);
    boolean pairs = weight.dtype() == DType.U8;
    if (pairs && shape.dim(1) % 2 != 0) {
      throw new InvalidCheckpointException(
          "tensor %s: dtype must be I8 or floating-point for %d columns, an odd number, found U8"
              .formatted(name, shape.dim(1)));
    }
    checkShape(name, weight, pairs ? Shape.of(shape.dim(0), shape.dim(1) / 2) : shape);
    if (!codes) {
      return new StoredMatrix(name, weight, List.of());
    }
    String scaleName = QuantizedNames.scale(name);
    if (!source.names().contains(scaleName)) {
      throw new InvalidCheckpointException(
          "tensor %s holds codes: missing tensor %s".formatted(name, scaleName));
    }
    HostTensor scale = source.tensor(scaleName);
    checkScale(scaleName, scale, pairs);
    return new StoredMatrix(name, weight, List.of(scale));
  }

  private HostTensor weightScale(TensorSource source, String name) {
    StoredMatrix matrix = matrix(source, weightScales.get(name));
    if (matrix.scales().isEmpty()) {
      throw new InvalidCheckpointException(
          "tensor %s: must not be there, as %s is %s"
              .formatted(name, matrix.name(), matrix.weight().dtype()));
    }
    return matrix.scales().get(0);
  }

  private void checkScale(String name, HostTensor scale, boolean pairs) {
    Shape shape = matrices.get(weightScales.get(name));
    int groups = (shape.dim(1) + Int4.GROUP - 1) / Int4.GROUP;
    checkDType(name, scale, SCALES);
    checkShape(name, scale, pairs ? Shape.of(shape.dim(0), groups) : Shape.of(shape.dim(0)));
  }

  private static void checkDType(String name, HostTensor tensor, Set<DType> dtypes) {
    if (!dtypes.contains(tensor.dtype())) {
      String names = dtypes.stream().map(DType::toString).collect(Collectors.joining(", "));
      throw new InvalidCheckpointException(
          "tensor %s: dtype must be %s, found %s"
              .formatted(name, names.replaceFirst(", (?=\\w+$)", " or "), tensor.dtype()));
    }
  }

  private static void checkShape(String name, HostTensor tensor, Shape shape) {
    if (!tensor.shape().equals(shape)) {
      throw new InvalidCheckpointException(
          "tensor %s: shape must be %s, found %s".formatted(name, shape, tensor.shape()));
    }
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
    ModelConfig one =
        new ModelConfig(
            config.modelDim(),
            1,
            config.epsilon(),
            config.vocabulary(),
            config.mixer(),
            config.quantization());
    ModelTensors tensors = new ModelTensors(one);
    tensors.shapes.forEach(ModelTensors::checkElements);
    tensors.matrices.forEach(ModelTensors::checkElements);
  }

  private static void checkElements(String name, Shape shape) {
    checkProduct(name, shape.elements(), 1, Integer.MAX_VALUE);
  }

  private static void checkProduct(String what, long size, long times, long most) {
    if (size * times > most) {
      throw new InvalidCheckpointException(
          "config.json: %s: at most %d, found %d".formatted(what, most, size * times));
    }
  }
}
