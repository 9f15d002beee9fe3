package quamba.kernels.cuda;

import quamba.kernels.DType;

/** Launches rotations: cuts their sizes up as {@link quamba.kernels.Hadamard} does. */
final class CudaRotate {
  /** The widest rotation, as in {@code rotate.cu}. */
  static final int ROTATE_WIDEST = 12288;

  private final CudaLaunch launch;

  CudaRotate(CudaLaunch launch) {
    this.launch = launch;
  }

  /**
   * Runs {@link quamba.kernels.Backend#rotate}.
   *
   * @throws IllegalArgumentException if rows are wider than {@value #ROTATE_WIDEST}
   */
  void run(CudaTensor x, CudaTensor out) {
    int innerDim = x.shape().dim(1);
    CudaLaunch.requireAtMost("innerDim", innerDim, ROTATE_WIDEST);
    int base = base(innerDim);
    int width = innerDim / (base == 20 && innerDim % 40 == 0 ? 40 : base);
    launch
        .of(out.dtype() == DType.I8 ? CudaKernel.ROTATE_F32_I8 : CudaKernel.ROTATE_F32_F32)
        .strided(x)
        .values(out)
        .number(innerDim)
        .number(base)
        .number(width)
        .number(factor(innerDim))
        .over(x.shape().dim(0), 1, 1);
  }

  /** What makes a rotation of this many elements orthonormal. */
  static float factor(int innerDim) {
    return (float) (1 / Math.sqrt(innerDim));
  }

  /** The order of the table that mixes what is not a power of two: its odd factor tells. */
  private static int base(int innerDim) {
    return switch (innerDim >> Integer.numberOfTrailingZeros(innerDim)) {
      case 3 -> 12;
      case 5 -> 20;
      case 7 -> 28;
      default -> 1;
    };
  }
}
