package quamba.kernels.cuda;

import quamba.kernels.DType;

/**
 * Launches matrix products: chooses by the order that the weight was packed in, the dtypes and, of
 * codes, the sizes.
 */
final class CudaLinear {
  /** Rows of one block, as in {@code linear.cu}. */
  static final int LINEAR_ROWS = 64;

  /** Rows of one block, as in {@code linear_codes.cu}. */
  static final int LINEAR_FEW_ROWS = 8;

  static final int LINEAR_CODES_ROWS = 64;

  private final CudaLaunch launch;
  private final CudaScratch scratch;
  private final int multiprocessors;

  CudaLinear(CudaLaunch launch, CudaScratch scratch, int multiprocessors) {
    this.launch = launch;
    this.scratch = scratch;
    this.multiprocessors = multiprocessors;
  }

  void run(CudaOpaque weight, CudaTensor x, CudaTensor out) {
    if (weight instanceof CudaCodes codes) {
      codes(codes, x, out);
    } else if (weight.dtype() == DType.I8) {
      plainCodes((CudaPacked) weight, x, out);
    } else {
      CudaTensor elements = ((CudaPacked) weight).elements();
      launch.of(CudaKernel.LINEAR_F32_F32_F32).dense(elements).strided(x).values(out);
      over(x, out, LINEAR_ROWS);
    }
  }

  private void codes(CudaCodes weight, CudaTensor x, CudaTensor out) {
    int n = x.shape().dim(0);
    if (CudaScratch.isAligned(x)) {
      aligned(weight, x, out);
      return;
    }
    int most = scratch.rows(x.shape().dim(1));
    for (int first = 0; first < n; first += most) {
      int count = Math.min(most, n - first);
      aligned(weight, scratch.copy(x.rows(first, count)), out.rows(first, count));
    }
  }

  private void aligned(CudaCodes weight, CudaTensor x, CudaTensor out) {
    CudaLinearForm.Size size = size(x, out);
    CudaLinearForm form =
        weight.hasFourBit() && size.n() <= CudaLinearForm.FOUR_BIT_ROWS
            ? CudaLinearForm.ofFourBit(size.n())
            : CudaLinearForm.ofEightBit(size, multiprocessors);
    run(form, form.splits(size, multiprocessors), weight, x, out);
  }

  /** One form, whether or not it is the best; x is aligned, and the weight has what it reads. */
  void run(CudaLinearForm form, int splits, CudaCodes weight, CudaTensor x, CudaTensor out) {
    CudaLinearForm.Size size = size(x, out);
    launch
        .of(form.kernel(out.dtype()))
        .dense(form.readsFourBit() ? weight.fourBit() : weight.eightBit())
        .dense(weight.rowScales())
        .strided(x)
        .dense(x.scale())
        .values(out);
    if (form.splits()) {
      launch.number(splits);
    }
    launch
        .number(size.n())
        .number(size.in())
        .number(size.out())
        .over(form.across(size, splits, multiprocessors), form.down(size), 1);
  }

  private static CudaLinearForm.Size size(CudaTensor x, CudaTensor out) {
    return new CudaLinearForm.Size(x.shape().dim(0), x.shape().dim(1), out.shape().dim(1));
  }

  private void plainCodes(CudaPacked weight, CudaTensor x, CudaTensor out) {
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
