package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.Linear;
import quamba.kernels.Norm;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/** The end of the model: last norm and logits, for as many tokens at once as there are slots. */
final class Head {
  private final Backend backend;
  private final Norm norm;
  private final Linear linear; // (width, modelDim)
  private final Flow input; // of codes, or of what the last block left
  private final Tensor codes; // (slots, modelDim) i8
  private final Tensor hidden; // (slots, modelDim) f32
  private final Tensor residual; // (slots, modelDim) f32
  private final Tensor logits; // (slots, width) f32

  Head(Backend backend, Norm norm, Flow input, Linear linear, int slots) {
    this.backend = backend;
    this.norm = norm;
    this.input = input;
    this.linear = linear;
    int modelDim = linear.weight().shape().dim(1);
    codes = backend.allocate(DType.I8, Shape.of(slots, modelDim));
    hidden = backend.allocate(DType.F32, Shape.of(slots, modelDim));
    residual = backend.allocate(DType.F32, Shape.of(slots, modelDim));
    logits = backend.allocate(DType.F32, Shape.of(slots, width()));
  }

  /** Columns of the logits, those of padding included. */
  int width() {
    return linear.weight().shape().dim(0);
  }

  /** The most tokens at once. */
  int slots() {
    return logits.shape().dim(0);
  }

  /** (0, width). */
  Tensor noLogits() {
    return logits.rows(0, 0);
  }

  /** (n, width) logits of the tokens {@code indices} (n) i32 of {@code a}. */
  Tensor logitsAt(Tensor indices, Activations a) {
    int count = indices.shape().dim(0);
    backend.embed(indices, a.hidden().floats(), hidden.rows(0, count));
    backend.embed(indices, a.residual(), residual.rows(0, count));
    return logits(hidden.rows(0, count), residual.rows(0, count));
  }

  /** (n, width) logits of what the last block left: (n, modelDim) each, both overwritten. */
  Tensor logits(Tensor hidden, Tensor residual) {
    int count = hidden.shape().dim(0);
    Tensor out = logits.rows(0, count);
    Tensor normed = input.in(new Activations.Buffer(hidden, codes.rows(0, count)));
    backend.norm(norm, hidden, residual, normed);
    backend.linear(linear, normed, out);
    return out;
  }
}
