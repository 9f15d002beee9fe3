package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mixer;

/** Scratch of a pass, shared by all layers; everything in it is f32. */
final class Activations {
  private final Tensor residual; // (tokens, modelDim)
  private final Tensor hidden; // (tokens, modelDim)
  private final Tensor projected; // (tokens, projected), in_proj's output
  private final Tensor selected; // (tokens, selected), x_proj's output; Mamba2: projected
  private final Tensor dt; // (tokens, heads); Mamba2: the last columns of projected
  private final Tensor mixed; // (tokens, innerDim), the recurrence's output

  private Activations(
      Tensor residual, Tensor hidden, Tensor projected, Tensor selected, Tensor dt, Tensor mixed) {
    this.residual = residual;
    this.hidden = hidden;
    this.projected = projected;
    this.selected = selected;
    this.dt = dt;
    this.mixed = mixed;
  }

  /** Scratch for at most {@code tokens} tokens. */
  static Activations allocate(Backend backend, ModelConfig config, int tokens) {
    Mixer mixer = config.mixer();
    int heads = mixer.dims().heads();
    Tensor residual = allocate(backend, tokens, config.modelDim());
    Tensor hidden = allocate(backend, tokens, config.modelDim());
    Tensor projected = allocate(backend, tokens, mixer.projected());
    Tensor mixed = allocate(backend, tokens, mixer.innerDim());
    if (mixer instanceof Mamba1 mamba1) {
      Tensor selected = allocate(backend, tokens, mamba1.selected());
      Tensor dt = allocate(backend, tokens, heads);
      return new Activations(residual, hidden, projected, selected, dt, mixed);
    }
    Tensor dt = projected.columns(mixer.projected() - heads, heads);
    return new Activations(residual, hidden, projected, projected, dt, mixed);
  }

  private static Tensor allocate(Backend backend, int tokens, int width) {
    return backend.allocate(DType.F32, Shape.of(tokens, width));
  }

  /** The first {@code count} tokens of all of it. */
  Activations tokens(int count) {
    return new Activations(
        residual.rows(0, count),
        hidden.rows(0, count),
        projected.rows(0, count),
        selected.rows(0, count),
        dt.rows(0, count),
        mixed.rows(0, count));
  }

  Tensor residual() {
    return residual;
  }

  Tensor hidden() {
    return hidden;
  }

  Tensor projected() {
    return projected;
  }

  Tensor selected() {
    return selected;
  }

  Tensor dt() {
    return dt;
  }

  Tensor mixed() {
    return mixed;
  }
}
