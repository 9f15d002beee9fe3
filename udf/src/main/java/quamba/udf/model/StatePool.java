package quamba.udf.model;

import java.util.List;
import java.util.stream.Stream;
import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.Scan;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.udf.model.ModelConfig.Mixer;

/** What sequences under way carry from step to step: of fixed size, whatever their length. */
final class StatePool {
  /**
   * The states of one layer.
   *
   * @param conv (slots, convWidth − 1, convChannels) f32
   * @param scan (slots, heads, headDim, stateDim) f32
   */
  record Layer(Tensor conv, Tensor scan) {}

  private final List<Layer> layers;

  private StatePool(List<Layer> layers) {
    this.layers = layers;
  }

  static StatePool allocate(Backend backend, ModelConfig config, int slots) {
    return new StatePool(
        Stream.generate(() -> allocateLayer(backend, config.mixer(), slots))
            .limit(config.layers())
            .toList());
  }

  private static Layer allocateLayer(Backend backend, Mixer mixer, int slots) {
    Scan.Dims dims = mixer.dims();
    Shape conv = Shape.of(slots, mixer.convWidth() - 1, mixer.convChannels());
    Shape scan = Shape.of(slots, dims.heads(), dims.headDim(), dims.stateDim());
    return new Layer(backend.allocate(DType.F32, conv), backend.allocate(DType.F32, scan));
  }

  Layer layer(int index) {
    return layers.get(index);
  }
}
