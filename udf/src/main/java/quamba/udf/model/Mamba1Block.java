package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.Conv;
import quamba.kernels.Gate;
import quamba.kernels.Linear;
import quamba.kernels.Norm;
import quamba.kernels.Scan;
import quamba.kernels.Tensor;
import quamba.udf.model.ModelConfig.Mamba1;

/**
 * A Mamba1 layer (spec 1.2): in_proj gives x and z; dt, B and C are selected by the convolved x.
 */
final class Mamba1Block implements Block {
  private final Mamba1 mixer;
  private final Norm norm;
  private final Linear inProj; // (2 · innerDim, modelDim): x, z
  private final Conv conv; // over x
  private final Linear xProj; // (selected, innerDim): dt (dtRank), B, C
  private final Linear dtProj; // (innerDim, dtRank)
  private final Scan scan;
  private final Gate gate;
  private final Linear outProj; // (modelDim, innerDim)

  Mamba1Block(ModelConfig config, Mamba1 mixer, Weights weights) {
    this.mixer = mixer;
    norm = weights.norm("norm.weight", config.epsilon());
    inProj = weights.linear("mixer.in_proj.weight");
    conv = weights.conv("mixer.conv1d");
    xProj = weights.linear("mixer.x_proj.weight");
    dtProj = weights.linear("mixer.dt_proj.weight");
    scan = weights.scan("mixer.dt_proj.bias", mixer.dims(), Scan.Limit.NONE);
    gate = new Gate.Plain();
    outProj = weights.linear("mixer.out_proj.weight");
  }

  @Override
  public void forward(Backend backend, Batch batch, Activations a, StatePool.Layer state) {
    int innerDim = mixer.innerDim();
    int stateDim = mixer.dims().stateDim();
    Tensor x = a.projected().columns(0, innerDim);
    Tensor z = a.projected().columns(innerDim, innerDim);
    Tensor dtLow = a.selected().columns(0, mixer.dtRank());
    Tensor b = a.selected().columns(mixer.dtRank(), stateDim);
    Tensor c = a.selected().columns(mixer.dtRank() + stateDim, stateDim);

    backend.norm(norm, a.hidden(), a.residual(), a.hidden());
    backend.linear(inProj, a.hidden(), a.projected());
    backend.conv(conv, batch, x, state.conv(), x);
    backend.linear(xProj, x, a.selected());
    backend.linear(dtProj, dtLow, a.dt());
    backend.scan(scan, batch, x, a.dt(), b, c, state.scan(), a.mixed());
    backend.gate(gate, a.mixed(), z, a.mixed());
    backend.linear(outProj, a.mixed(), a.hidden());
  }
}
