package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Gate;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Tensor;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.QuantizedNames.Tap;

/**
 * A Mamba1 layer (spec 1.2): in_proj gives x and z; dt, B and C are selected by the convolved x.
 */
final class Mamba1Block implements Block {
  private final Mamba1 mixer;
  private final InProjection inProj; // x, z, of which x is convolved
  private final Projection xProj; // (selected, innerDim): dt (dtRank), B, C
  private final Projection dtProj; // (innerDim, dtRank)
  private final Scan scan;
  private final OutProjection outProj;
  private final ScanState state;

  private final Flow z; // of projected
  private final Flow dtLow; // dt_proj's input, of selected as the next two
  private final Flow b;
  private final Flow c;
  private final Flow dt; // of dt

  Mamba1Block(ModelConfig config, Mamba1 mixer, Weights weights) {
    this.mixer = mixer;
    scan = weights.scan("mixer.dt_proj.bias", mixer.dims(), Scan.Limit.NONE);
    state = weights.state(mixer.dims());
    outProj = new OutProjection(config, new Gate.Plain(), weights);

    int inner = mixer.innerDim();
    int rank = mixer.dtRank();
    int states = mixer.dims().stateDim();
    Columns x = weights.columns(0, inner, Tap.X_IN);
    Columns gates = weights.columns(inner, inner, Tap.Z);
    Columns low = weights.columns(0, rank, Tap.DT_PROJ_INPUT);
    Columns bs = weights.columns(rank, states, Tap.B_OUT);
    Columns cs = weights.columns(rank + states, states, Tap.C_OUT);
    Columns steps = weights.columns(0, inner, Tap.DT);
    Columns convolved = weights.columns(0, inner, Tap.X_OUT);
    inProj = new InProjection(config, weights, x, convolved, x, gates);
    z = weights.flow(gates);
    dtLow = weights.flow(low);
    b = weights.flow(bs);
    c = weights.flow(cs);
    dt = weights.flow(steps);
    xProj = weights.projection("mixer.x_proj.weight", inProj.convolvedDtype(), low, bs, cs);
    dtProj = weights.projection("mixer.dt_proj.weight", dtLow.dtype(), steps);
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
    Tensor steps = dt.in(a.dt());
    Tensor bs = b.in(a.selected());
    Tensor cs = c.in(a.selected());
    Tensor y = a.mixed().floats();

    Tensor x = inProj.run(backend, batch, a, state.conv());
    xProj.run(backend, x, a.selected());
    dtProj.run(backend, dtLow.in(a.selected()), a.dt());
    backend.scan(scan, batch, x, steps, bs, cs, state.scan(), y);
    outProj.run(backend, z.in(a.projected()), a);
  }
}
