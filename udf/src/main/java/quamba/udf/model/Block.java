package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.DType;

/** One layer of a model, from norm to out_proj: its weights, and the order of its operations. */
sealed interface Block permits Mamba1Block, Mamba2Block {
  /**
   * Adds {@code hidden} to {@code residual} and leaves the layer's contribution in {@code hidden}.
   *
   * @param a exactly the batch's tokens
   * @param state what the batch's slots carry through this layer, updated
   */
  void forward(Backend backend, Batch batch, Activations a, StatePool.Layer state);

  /** I8 if codes flow through this layer, else F32. */
  DType activations();

  /** What {@code slots} sequences carry through this layer. */
  StatePool.Layer allocateState(Backend backend, int slots);
}
