package quamba.kernels.cuda;

import quamba.kernels.Batch;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.Tensor;

/** Launches convolutions: chooses by the width, the dtype, and whether the batch only decodes. */
final class CudaConv {
  /** The widest convolution, as in {@code conv.cu}. */
  static final int CONV_WIDEST = 8;

  /** The width of the fast forms, as in {@code conv.cuh}. */
  static final int TAPS = 4;

  /** The most threads of neighbouring channels in prefill, as in {@code conv_prefill.cu}. */
  static final int LANES = 16;

  /** Tokens of a row, up to which it is too short for few lanes. */
  private static final int SHORT = 128;

  /** Decoding blocks that run on a multiprocessor at once: more rows share them. */
  private static final int DECODE_BLOCKS = 10;

  private final CudaLaunch launch;
  private final int multiprocessors;

  CudaConv(CudaLaunch launch, int multiprocessors) {
    this.launch = launch;
    this.multiprocessors = multiprocessors;
  }

  /**
   * Runs {@link quamba.kernels.Backend#conv}.
   *
   * @throws IllegalArgumentException if the weight is wider than 8
   */
  void run(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    int channels = x.shape().dim(1);
    int convWidth = p.weight().shape().dim(1);
    CudaLaunch.requireAtMost("convWidth", convWidth, CONV_WIDEST);
    if (convWidth != TAPS) {
      CudaKernel kernel =
          x.dtype() == DType.I8 ? CudaKernel.CONV_I8_I8_I8 : CudaKernel.CONV_F32_F32_F32;
      launch.of(kernel).batch(batch);
      tensors(p, x, state, out)
          .number(convWidth)
          .over(batch.rows(), CudaLaunch.pieces(channels, kernel.threads()), 1);
    } else {
      if (batch.single() > 0) {
        decode(p, batch, x, state, out);
      }
      if (batch.single() < batch.rows()) {
        prefill(p, batch.others(), x, state, out);
      }
    }
  }

  /** The rows of one token. */
  private void decode(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    CudaKernel kernel =
        x.dtype() == DType.I8
            ? CudaKernel.CONV_DECODE_I8_I8_I8
            : CudaKernel.CONV_DECODE_F32_F32_F32;
    int rows = batch.single();
    int blocks = CudaLaunch.pieces(x.shape().dim(1), kernel.threads() * CudaTensor.FOUR);
    launch.of(kernel).dense(batch.slots()).dense(batch.positions());
    tensors(p, x, state, out).number(rows).over(blocks, shares(rows, blocks), 1);
  }

  private void prefill(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    CudaKernel kernel =
        x.dtype() == DType.I8
            ? CudaKernel.CONV_PREFILL_I8_I8_I8
            : CudaKernel.CONV_PREFILL_F32_F32_F32;
    int channels = x.shape().dim(1);
    int lanes = lanes(channels, batch);
    launch.of(kernel).dense(batch.slots()).dense(batch.starts()).dense(batch.positions());
    tensors(p, x, state, out)
        .number(lanes)
        .over(CudaLaunch.pieces(channels, lanes * CudaTensor.FOUR), batch.rows(), 1);
  }

  /** Many for short rows, few where there would not be blocks for all multiprocessors. */
  private int lanes(int channels, Batch batch) {
    int lanes = batch.tokens() <= SHORT * batch.rows() ? LANES : LANES / 2;
    while (lanes > LANES / 4
        && 2 * batch.rows() * CudaLaunch.pieces(channels, lanes * CudaTensor.FOUR)
            < 3 * multiprocessors) {
      lanes /= 2;
    }
    return lanes;
  }

  private CudaLaunch tensors(Conv p, Tensor x, Tensor state, Tensor out) {
    return launch
        .dense(p.weight())
        .dense(p.bias())
        .values(x)
        .strided(state)
        .values(out)
        .number(x.shape().dim(1));
  }

  /** Among how many blocks rows are shared, evenly, so that all blocks run at once. */
  private int shares(int rows, int blocks) {
    int most = Math.max(1, multiprocessors * DECODE_BLOCKS / blocks);
    return CudaLaunch.pieces(rows, CudaLaunch.pieces(rows, most));
  }
}
