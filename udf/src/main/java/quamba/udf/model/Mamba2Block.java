package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Gate;
import quamba.kernels.Norm;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Tensor;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.QuantizedNames.Tap;

/** A Mamba2 layer (spec 1.3): in_proj gives z, x, B, C and dt at once. */
final class Mamba2Block implements Block {
  private final Mamba2 mixer;
  private final InProjection inProj; // z, x, B, C, dt, of which x, B, C are convolved
  private final Scan scan;
  private final OutProjection outProj;
  private final ScanState state;

  private final Flow z; // of projected, as the next
  private final Flow dt;

  Mamba2Block(ModelConfig config, Mamba2 mixer, Weights weights) {
    this.mixer = mixer;
    scan = weights.scan("mixer.dt_bias", mixer.dims(), mixer.limit());
    state = weights.state(mixer.dims());
    Norm gateNorm = weights.norm("mixer.norm.weight", config.epsilon());
    outProj = new OutProjection(config, new Gate.Normed(gateNorm, mixer.dims().groups()), weights);

    int x = mixer.innerDim();
    Columns gates = weights.columns(0, x, Tap.Z);
    Columns in = xbc(weights, Tap.X_IN, Tap.B_IN, Tap.C_IN);
    Columns steps = weights.columns(x + mixer.convChannels(), mixer.dims().heads(), Tap.DT);
    Columns convolved = xbc(weights, Tap.X_OUT, Tap.B_OUT, Tap.C_OUT);
    z = weights.flow(gates);
    dt = weights.flow(steps);
    inProj = new InProjection(config, weights, in, convolved, gates, in, steps);
  }

  private Columns xbc(Weights weights, Tap x, Tap b, Tap c) {
    int inner = mixer.innerDim();
    int bc = mixer.bcDim();
    return weights
        .columns(inner, inner, x)
        .and(weights.columns(2 * inner, bc, b))
        .and(weights.columns(2 * inner + bc, bc, c));
  }

  @Override
  public DType activations() {
    return inProj.inputDtype();
  }

  @Override
  public StatePool.Layer allocateState(Backend backend, int slots) {
    return StatePool.allocateLayer(backend, mixer, slots, inProj.convDtype(), state);
  }

  @Override
  public void forward(Backend backend, Batch batch, Activations a, StatePool.Layer state) {
    Tensor xbc = inProj.run(backend, batch, a, state.conv());
    Tensor x = xbc.columns(0, mixer.innerDim());
    Tensor b = xbc.columns(mixer.innerDim(), mixer.bcDim());
    Tensor c = xbc.columns(mixer.innerDim() + mixer.bcDim(), mixer.bcDim());
    Tensor steps = dt.in(a.projected());
    Tensor y = a.mixed().floats();

    backend.scan(scan, batch, x, steps, b, c, state.scan(), y);
    outProj.run(backend, z.in(a.projected()), a);
  }
}
