package quamba.kernels;

import java.util.List;

/**
 * A Mamba2 layer (spec 1.3): its operations in order, each with what it reads and writes.
 *
 * @param in from the residual stream to the recurrence's inputs
 * @param mix the recurrence
 * @param out from the recurrence back to the residual stream
 */
public record Layer(In in, Mix mix, Out out) {
  /**
   * Norm, in_proj and convolution: {@link Backend#norm} and {@link Backend#linearsConv}.
   *
   * @param hidden what the layer before adds to {@code residual}; in the end what this one adds
   * @param normed between norm and products; holds nothing of use afterwards
   */
  public record In(
      Norm norm,
      Tensor hidden,
      Tensor residual,
      Tensor normed,
      List<Product> products,
      Conv conv,
      Tensor convIn,
      Tensor convState,
      Tensor convOut) {}

  /**
   * {@link Backend#scan}.
   *
   * @param y its output; holds nothing of use after the layer
   */
  public record Mix(Scan scan, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor y) {}

  /**
   * Gate, rotation and out_proj: {@link Backend#gate} or {@link Backend#gateRotate}, and {@link
   * Backend#linear}.
   *
   * @param rotates whether the gate's output is rotated
   * @param mixed between gate and product; holds nothing of use afterwards
   */
  public record Out(Gate gate, boolean rotates, Tensor z, Tensor mixed, Linear linear) {}

  /** Runs the operations one by one. */
  public void run(Backend backend, Batch batch) {
    backend.norm(in.norm, in.hidden, in.residual, in.normed);
    backend.linearsConv(
        in.normed, in.products, in.conv, batch, in.convIn, in.convState, in.convOut);
    backend.scan(mix.scan, batch, mix.x, mix.dt, mix.b, mix.c, mix.state, mix.y);
    if (out.rotates) {
      backend.gateRotate(out.gate, mix.y, out.z, out.mixed);
    } else {
      backend.gate(out.gate, mix.y, out.z, out.mixed);
    }
    backend.linear(out.linear, out.mixed, in.hidden);
  }
}
