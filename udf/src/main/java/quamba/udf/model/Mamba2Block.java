package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.Conv;
import quamba.kernels.Gate;
import quamba.kernels.Linear;
import quamba.kernels.Norm;
import quamba.kernels.Scan;
import quamba.kernels.Tensor;
import quamba.udf.model.ModelConfig.Mamba2;

/** A Mamba2 layer (spec 1.3): in_proj gives z, x, B, C and dt at once. */
final class Mamba2Block implements Block {
  private final Mamba2 mixer;
  private final Norm norm;
  private final Linear inProj; // (projected, modelDim): z, x, B, C, dt
  private final Conv conv; // over x, B, C
  private final Scan scan;
  private final Gate gate;
  private final Linear outProj; // (modelDim, innerDim)

  Mamba2Block(ModelConfig config, Mamba2 mixer, Weights weights) {
    this.mixer = mixer;
    norm = weights.norm("norm.weight", config.epsilon());
    inProj = weights.linear("mixer.in_proj.weight");
    conv = weights.conv("mixer.conv1d");
    scan = weights.scan("mixer.dt_bias", mixer.dims(), mixer.limit());
    gate =
        new Gate.Normed(weights.norm("mixer.norm.weight", config.epsilon()), mixer.dims().groups());
    outProj = weights.linear("mixer.out_proj.weight");
  }

  @Override
  public void forward(Backend backend, Batch batch, Activations a, StatePool.Layer state) {
    int innerDim = mixer.innerDim();
    Tensor z = a.projected().columns(0, innerDim);
    Tensor xbc = a.projected().columns(innerDim, mixer.convChannels());
    Tensor x = xbc.columns(0, innerDim);
    Tensor b = xbc.columns(innerDim, mixer.bcDim());
    Tensor c = xbc.columns(innerDim + mixer.bcDim(), mixer.bcDim());

    backend.norm(norm, a.hidden(), a.residual(), a.hidden());
    backend.linear(inProj, a.hidden(), a.projected());
    backend.conv(conv, batch, xbc, state.conv(), xbc);
    backend.scan(scan, batch, x, a.dt(), b, c, state.scan(), a.mixed());
    backend.gate(gate, a.mixed(), z, a.mixed());
    backend.linear(outProj, a.mixed(), a.hidden());
  }
}
