package quamba.udf.model;

import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import quamba.kernels.DType;
import quamba.kernels.HostFloats;
import quamba.kernels.HostTensor;
import quamba.kernels.Scan;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mixer;
import quamba.udf.model.QuantizedNames.Tap;

/** The scales of one layer's activations: none of them, or all that {@link QuantizedNames} asks. */
final class LayerScales {
  private static final Set<Tap> MAMBA1_ONLY = EnumSet.of(Tap.DT_PROJ_INPUT);
  private static final Set<Tap> MAMBA2_ONLY = EnumSet.of(Tap.B_IN, Tap.C_IN);
  private static final Set<Tap> OPTIONAL = EnumSet.of(Tap.Z, Tap.DT, Tap.STATE);

  private final Map<Tap, float[]> scales = new EnumMap<>(Tap.class);

  /**
   * Reads the scales that there are.
   *
   * @throws InvalidCheckpointException if a tensor is not as it must be or missing
   */
  LayerScales(TensorSource source, ModelTensors tensors, Mixer mixer, int layer) {
    for (Tap tap : taps(mixer)) {
      String name = QuantizedNames.scale(layer, tap);
      if (source.names().contains(name)) {
        HostTensor tensor = tensors.take(source, name);
        float[] read = read(tensor, name);
        scales.put(tap, tap == Tap.STATE ? spread(read, tensor.shape(), mixer.dims()) : read);
      }
    }
    checkComplete(mixer, layer);
  }

  /** The taps that layers of this kind have. */
  static Set<Tap> taps(Mixer mixer) {
    Set<Tap> taps = EnumSet.allOf(Tap.class);
    taps.removeAll(mixer instanceof Mamba1 ? MAMBA2_ONLY : MAMBA1_ONLY);
    return taps;
  }

  /** The shape of the scales of {@code tap}, if they are not one for all. */
  static Shape shape(ModelConfig config, Tap tap) {
    Mixer mixer = config.mixer();
    int bc = mixer.dims().groups() * mixer.dims().stateDim();
    return switch (tap) {
      case IN_PROJ_INPUT, DT_PROJ_INPUT, OUT_PROJ_INPUT -> Shape.of(1);
      case X_OUT -> Shape.of(mixer instanceof Mamba1 ? 1 : mixer.innerDim());
      case Z, X_IN -> Shape.of(mixer.innerDim());
      case B_IN, C_IN, B_OUT, C_OUT -> Shape.of(bc);
      case DT -> Shape.of(mixer.dims().heads());
      case STATE -> Shape.of(mixer.dims().heads(), mixer.dims().headDim(), mixer.dims().stateDim());
    };
  }

  /** The elements of scales, each over 0 and finite. */
  static float[] read(HostTensor tensor, String name) {
    float[] scales = new float[(int) tensor.shape().elements()];
    HostFloats.read(tensor, 0, scales.length, scales, 0);
    for (float scale : scales) {
      if (!(scale > 0 && Float.isFinite(scale))) {
        throw new InvalidCheckpointException(
            "tensor %s: scales must be over 0 and finite, found %s".formatted(name, scale));
      }
    }
    return scales;
  }

  /** The scales of a state, those that are shared written out. */
  private static float[] spread(float[] scales, Shape shape, Scan.Dims dims) {
    if (scales.length == 1) {
      return scales;
    }
    float[] all = new float[dims.innerDim() * dims.stateDim()];
    for (int i = 0; i < all.length; i++) {
      int channel = i / dims.stateDim();
      int head = shape.dim(0) == 1 ? 0 : channel / dims.headDim();
      int place = shape.dim(1) == 1 ? 0 : channel % dims.headDim();
      int n = shape.dim(2) == 1 ? 0 : i % dims.stateDim();
      all[i] = scales[(head * shape.dim(1) + place) * shape.dim(2) + n];
    }
    return all;
  }

  private void checkComplete(Mixer mixer, int layer) {
    Set<Tap> wanted = taps(mixer);
    wanted.removeAll(OPTIONAL);
    wanted.removeAll(scales.keySet());
    boolean floats = scales.keySet().stream().allMatch(Tap.STATE::equals);
    if (!floats && !wanted.isEmpty()) {
      Tap missing = wanted.iterator().next();
      throw new InvalidCheckpointException(
          "layer %d has scales of %s: missing tensor %s"
              .formatted(layer, scales.keySet(), QuantizedNames.scale(layer, missing)));
    }
  }

  /** What flows through the layer's matrices. */
  DType dtype() {
    return scales.containsKey(Tap.IN_PROJ_INPUT) ? DType.I8 : DType.F32;
  }

  /** Columns of a buffer as {@code tap} has them. */
  Columns columns(int first, int count, Tap tap) {
    return new Columns(first, count, of(tap));
  }

  /** The scales of {@code tap}: none, one, or as many as {@link #shape} has elements. */
  float[] of(Tap tap) {
    return scales.getOrDefault(tap, new float[0]);
  }
}
