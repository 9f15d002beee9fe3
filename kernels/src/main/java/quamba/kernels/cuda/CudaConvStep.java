package quamba.kernels.cuda;

import quamba.kernels.Batch;
import quamba.kernels.Conv;
import quamba.kernels.DType;

/**
 * A convolution over some columns of what a product writes, which its kernel may do with it.
 *
 * @param x (tokens, channels), the columns
 * @param state as in {@link quamba.kernels.Backend#conv}
 * @param out (tokens, channels)
 */
record CudaConvStep(Conv conv, Batch batch, CudaTensor x, CudaTensor state, CudaTensor out) {
  /**
   * Whether kernels can: of codes, in place, a token a row, and where four columns are loaded at
   * once.
   *
   * @param whole what the product writes
   */
  boolean fits(CudaTensor whole) {
    long first = first(whole);
    long places =
        whole.address().value() | whole.stride() | first | channels() | state.address().value();
    CudaTensor weight = (CudaTensor) conv.weight();
    return whole.dtype() == DType.I8
        && x.dtype() == DType.I8
        && batch.tokens() == batch.rows()
        && batch.tokens() == whole.shape().dim(0)
        && x.address().value() == out.address().value()
        && x.stride() == out.stride()
        && x.stride() == whole.stride()
        && first >= 0
        && first + channels() <= whole.shape().dim(1)
        && weight.shape().dim(1) == CudaConv.TAPS
        && weight.address().value() % (CudaTensor.FOUR * Float.BYTES) == 0
        && (places | state.stride()) % CudaTensor.FOUR == 0;
  }

  /** Gives a kernel what it takes for this. */
  void arguments(CudaLaunch launch, CudaTensor whole) {
    launch
        .dense(batch.slots())
        .dense(batch.positions())
        .dense(conv.weight())
        .dense(conv.bias())
        .scale(x)
        .strided(state)
        .scale(out)
        .number(Math.toIntExact(first(whole)))
        .number(channels());
  }

  /** The first column. */
  private long first(CudaTensor whole) {
    return x.address().value() - whole.address().value();
  }

  private int channels() {
    return x.shape().dim(1);
  }
}
