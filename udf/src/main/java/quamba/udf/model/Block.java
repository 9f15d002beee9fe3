package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.DType;

/**
 * One layer of a model, from norm to out_proj: its weights, and the order of its operations. It
 * adds {@code hidden} to {@code residual} and leaves its own contribution in {@code hidden}.
 */
sealed interface Block permits Mamba1Block, Mamba2Block {
  /** I8 if codes flow through this layer, else F32. */
  DType activations();

  /** What {@code slots} sequences carry through this layer. */
  StatePool.Layer allocateState(Backend backend, int slots);
}
