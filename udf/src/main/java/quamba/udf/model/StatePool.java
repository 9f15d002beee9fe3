package quamba.udf.model;

import java.util.List;
import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.udf.model.ModelConfig.Mixer;

/** What sequences under way carry from step to step: of fixed size, whatever their length. */
final class StatePool {
  /**
   * The states of one layer.
   *
   * @param conv (slots, convWidth − 1, convChannels) f32 or i8
   * @param scan (slots, heads, headDim, stateDim)
   */
  record Layer(Tensor conv, Tensor scan) {}

  private final List<Layer> layers;

  private StatePool(List<Layer> layers) {
    this.layers = layers;
  }

  static StatePool allocate(Backend backend, List<Block> blocks, int slots) {
    return new StatePool(
        blocks.stream().map(block -> block.allocateState(backend, slots)).toList());
  }

  static Layer allocateLayer(
      Backend backend, Mixer mixer, int slots, DType input, ScanState format) {
    Shape shape = Shape.of(slots, mixer.convWidth() - 1, mixer.convChannels());
    return new Layer(
        backend.allocate(input, shape), backend.allocateState(format, input, mixer.dims(), slots));
  }

  Layer layer(int index) {
    return layers.get(index);
  }
}
