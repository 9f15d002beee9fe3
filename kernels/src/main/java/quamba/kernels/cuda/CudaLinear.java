package quamba.kernels.cuda;

import quamba.kernels.DType;

/** Launches matrix products: chooses by the dtypes and, of codes, by the rows. */
final class CudaLinear {
  /** Rows of one block, as in {@code linear.cu}. */
  static final int LINEAR_ROWS = 64;

  /** Rows of one block, as in {@code linear_codes.cu}. */
  static final int LINEAR_FEW_ROWS = 8;

  static final int LINEAR_CODES_ROWS = 64;

  private final CudaLaunch launch;

  CudaLinear(CudaLaunch launch) {
    this.launch = launch;
  }

  void run(CudaPacked weight, CudaTensor x, CudaTensor out) {
    if (weight.dtype() == DType.I8) {
      codes(weight, x, out);
    } else {
      launch.of(CudaKernel.LINEAR_F32_F32_F32).dense(weight.elements()).strided(x).values(out);
      over(x, out, LINEAR_ROWS);
    }
  }

  private void codes(CudaPacked weight, CudaTensor x, CudaTensor out) {
    boolean few = x.shape().dim(0) <= LINEAR_FEW_ROWS;
    launch
        .of(few ? few(out.dtype()) : many(out.dtype()))
        .dense(weight.elements())
        .dense(weight.rowScales())
        .strided(x)
        .dense(x.scale())
        .values(out);
    over(x, out, few ? LINEAR_FEW_ROWS : LINEAR_CODES_ROWS);
  }

  private static CudaKernel few(DType out) {
    return out == DType.I8 ? CudaKernel.LINEAR_FEW_I8_I8_I8 : CudaKernel.LINEAR_FEW_I8_I8_F32;
  }

  private static CudaKernel many(DType out) {
    return out == DType.I8 ? CudaKernel.LINEAR_I8_I8_I8 : CudaKernel.LINEAR_I8_I8_F32;
  }

  private void over(CudaTensor x, CudaTensor out, int rows) {
    int n = x.shape().dim(0);
    int outDim = out.shape().dim(1);
    launch
        .number(n)
        .number(x.shape().dim(1))
        .number(outDim)
        .over(CudaLaunch.pieces(outDim, CudaPacking.PANEL), CudaLaunch.pieces(n, rows), 1);
  }
}
