package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.Gate;
import quamba.kernels.Linear;
import quamba.kernels.Tensor;
import quamba.udf.model.Quantization.Rotation;
import quamba.udf.model.QuantizedNames.Tap;

/** The end of every layer: gate, maybe rotation, out_proj. */
final class OutProjection {
  private final Gate gate;
  private final Rotation rotation;
  private final Flow input; // of mixed
  private final Linear linear; // (modelDim, innerDim)

  OutProjection(ModelConfig config, Gate gate, Weights weights) {
    this.gate = gate;
    rotation = config.quantization().rotation();
    input = weights.flow(weights.columns(0, config.mixer().innerDim(), Tap.OUT_PROJ_INPUT));
    linear = new Linear(weights.matrix("mixer.out_proj.weight", input.dtype()));
  }

  /** Leaves the layer's contribution in hidden. */
  void run(Backend backend, Tensor z, Activations a) {
    Tensor mixed = a.mixed().floats();
    Tensor x = input.in(a.mixed());
    switch (rotation) {
      case NONE -> backend.gate(gate, mixed, z, x);
      case HADAMARD -> backend.gateRotate(gate, mixed, z, x);
    }
    backend.linear(linear, x, a.hidden().floats());
  }
}
