package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mixer;

/** Scratch of a pass, shared by all layers, each of which uses it in its own precisions. */
final class Activations {
  /**
   * Room for activations in either precision.
   *
   * @param floats (tokens, columns) f32
   * @param codes (tokens, columns) i8, with no rows in a model without codes
   */
  record Buffer(Tensor floats, Tensor codes) {
    private static Buffer allocate(Backend backend, Rows rows, int columns) {
      return new Buffer(
          backend.allocate(DType.F32, Shape.of(rows.floats(), columns)),
          backend.allocate(DType.I8, Shape.of(rows.codes(), columns)));
    }

    /** The {@code count} tokens from {@code first} on. */
    Buffer tokens(int first, int count) {
      boolean none = codes.shape().dim(0) == 0;
      return new Buffer(floats.rows(first, count), none ? codes : codes.rows(first, count));
    }
  }

  /** How many tokens there is room for, as floats and as codes. */
  record Rows(int floats, int codes) {}

  private final Tensor residual; // (tokens, modelDim) f32
  private final Buffer hidden; // (tokens, modelDim)
  private final Buffer projected; // (tokens, projected), in_proj's output
  private final Buffer selected; // (tokens, selected), x_proj's output; Mamba2: projected
  private final Buffer dt; // (tokens, heads); Mamba2: projected
  private final Buffer
      mixed; // (tokens, innerDim), the recurrence's output; codes: out_proj's input

  private Activations(
      Tensor residual, Buffer hidden, Buffer projected, Buffer selected, Buffer dt, Buffer mixed) {
    this.residual = residual;
    this.hidden = hidden;
    this.projected = projected;
    this.selected = selected;
    this.dt = dt;
    this.mixed = mixed;
  }

  /** Scratch for as many tokens as {@code rows} says. */
  static Activations allocate(Backend backend, ModelConfig config, Rows rows) {
    Mixer mixer = config.mixer();
    Tensor residual = backend.allocate(DType.F32, Shape.of(rows.floats(), config.modelDim()));
    Buffer hidden = Buffer.allocate(backend, rows, config.modelDim());
    Buffer projected = Buffer.allocate(backend, rows, mixer.projected());
    Buffer mixed = Buffer.allocate(backend, rows, mixer.innerDim());
    if (mixer instanceof Mamba1 mamba1) {
      Buffer selected = Buffer.allocate(backend, rows, mamba1.selected());
      Buffer dt = Buffer.allocate(backend, rows, mixer.dims().heads());
      return new Activations(residual, hidden, projected, selected, dt, mixed);
    }
    return new Activations(residual, hidden, projected, projected, projected, mixed);
  }

  /** The first {@code count} tokens of all of it. */
  Activations tokens(int count) {
    return new Activations(
        residual.rows(0, count),
        hidden.tokens(0, count),
        projected.tokens(0, count),
        selected.tokens(0, count),
        dt.tokens(0, count),
        mixed.tokens(0, count));
  }

  Tensor residual() {
    return residual;
  }

  Buffer hidden() {
    return hidden;
  }

  Buffer projected() {
    return projected;
  }

  Buffer selected() {
    return selected;
  }

  Buffer dt() {
    return dt;
  }

  Buffer mixed() {
    return mixed;
  }
}
