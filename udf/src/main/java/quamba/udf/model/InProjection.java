package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.Norm;
import quamba.kernels.Tensor;
import quamba.udf.model.QuantizedNames.Tap;

/** The beginning of every layer: norm, in_proj, and the convolution of some of its outputs. */
final class InProjection {
  private final Norm norm;
  private final Projection matrix; // (projected, modelDim)
  private final Conv conv;
  private final Flow input; // of hidden
  private final Flow convIn; // of projected, as the next
  private final Flow convOut;

  /**
   * Loads them.
   *
   * @param convIn columns of projected that are convolved
   * @param convOut the same columns as the convolution leaves them
   * @param outputs all columns of projected, in order
   */
  InProjection(
      ModelConfig config, Weights weights, Columns convIn, Columns convOut, Columns... outputs) {
    norm = weights.norm("norm.weight", config.epsilon());
    conv = weights.conv("mixer.conv1d");
    input = weights.flow(weights.columns(0, config.modelDim(), Tap.IN_PROJ_INPUT));
    this.convIn = weights.flow(convIn);
    this.convOut = weights.flow(convOut);
    matrix = weights.projection("mixer.in_proj.weight", input.dtype(), outputs);
  }

  /** Of in_proj's input. */
  DType inputDtype() {
    return input.dtype();
  }

  /** Of what the convolution keeps. */
  DType convDtype() {
    return convIn.dtype();
  }

  /** Of what the convolution leaves. */
  DType convolvedDtype() {
    return convOut.dtype();
  }

  /**
   * Adds hidden to residual and fills projected.
   *
   * @return what the convolution leaves, columns of projected
   */
  Tensor run(Backend backend, Batch batch, Activations a, Tensor convState) {
    Tensor normed = input.in(a.hidden());
    Tensor convolved = convOut.in(a.projected());
    backend.norm(norm, a.hidden().floats(), a.residual(), normed);
    backend.linearsConv(
        normed,
        matrix.products(a.projected()),
        conv,
        batch,
        convIn.in(a.projected()),
        convState,
        convolved);
    return convolved;
  }
}
