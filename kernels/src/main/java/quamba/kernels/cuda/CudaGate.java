package quamba.kernels.cuda;

import quamba.kernels.DType;
import quamba.kernels.Gate;
import quamba.kernels.Tensor;

/** Launches gates, alone or with the rotation that follows them. */
final class CudaGate {
  /**
   * The least part of a row that a norm with a rotation can be of, as in {@code gate_rotate.cuh}.
   */
  static final int PART = 128;

  /** Blocks that share a row if rows are few, as in {@code gate_rotate_few.cu}. */
  static final int SHARERS = 4;

  private final CudaLaunch launch;
  private final boolean warpgroups;
  private final int multiprocessors;

  CudaGate(CudaLaunch launch, boolean warpgroups, int multiprocessors) {
    this.launch = launch;
    this.warpgroups = warpgroups;
    this.multiprocessors = multiprocessors;
  }

  /** Runs {@link quamba.kernels.Backend#gate}. */
  void run(Gate p, Tensor y, Tensor z, Tensor out) {
    int n = y.shape().dim(0);
    int innerDim = y.shape().dim(1);
    if (p instanceof Gate.Normed normed) {
      launch
          .of(
              choose(
                  z,
                  out,
                  CudaKernel.GATE_NORM_F32_F32,
                  CudaKernel.GATE_NORM_F32_I8,
                  CudaKernel.GATE_NORM_I8_F32,
                  CudaKernel.GATE_NORM_I8_I8))
          .strided(y)
          .values(z)
          .dense(normed.norm().weight())
          .values(out)
          .number(innerDim / normed.groups())
          .number(normed.norm().epsilon())
          .over(n, normed.groups(), 1);
    } else {
      CudaKernel kernel =
          choose(
              z,
              out,
              CudaKernel.GATE_F32_F32,
              CudaKernel.GATE_F32_I8,
              CudaKernel.GATE_I8_F32,
              CudaKernel.GATE_I8_I8);
      launch
          .of(kernel)
          .strided(y)
          .values(z)
          .values(out)
          .number(innerDim)
          .over(n, CudaLaunch.pieces(innerDim, kernel.threads() * CudaTensor.FOUR), 1);
    }
  }

  /** Whether {@link #runRotated} has a kernel for this: then every row of these tensors has. */
  static boolean canRotate(Gate p, Tensor y, Tensor z, Tensor out) {
    boolean size =
        switch (y.shape().dim(1)) {
          case 1536, 2048, 3072, 3584, 4096, 5120, 7168, 8192 -> true;
          default -> false;
        };
    boolean parts =
        !(p instanceof Gate.Normed normed) || y.shape().dim(1) / normed.groups() % PART == 0;
    boolean fours =
        ((CudaTensor) y).isInFours()
            && ((CudaTensor) z).isInFours()
            && ((CudaTensor) out).isInFours();
    return size && parts && fours;
  }

  /** Runs {@link quamba.kernels.Backend#gateRotate} where {@link #canRotate}. */
  void runRotated(Gate p, Tensor y, Tensor z, Tensor out) {
    int n = y.shape().dim(0);
    int innerDim = y.shape().dim(1);
    boolean few = warpgroups && 2 * SHARERS * n <= multiprocessors;
    CudaKernel kernel =
        few
            ? choose(
                z,
                out,
                CudaKernel.GATE_ROTATE_FEW_F32_F32,
                CudaKernel.GATE_ROTATE_FEW_F32_I8,
                CudaKernel.GATE_ROTATE_FEW_I8_F32,
                CudaKernel.GATE_ROTATE_FEW_I8_I8)
            : choose(
                z,
                out,
                CudaKernel.GATE_ROTATE_F32_F32,
                CudaKernel.GATE_ROTATE_F32_I8,
                CudaKernel.GATE_ROTATE_I8_F32,
                CudaKernel.GATE_ROTATE_I8_I8);
    launch.of(kernel).strided(y).values(z);
    if (p instanceof Gate.Normed normed) {
      launch
          .dense(normed.norm().weight())
          .values(out)
          .number(n)
          .number(innerDim)
          .number(normed.groups())
          .number(normed.norm().epsilon());
    } else {
      launch.nothing().values(out).number(n).number(innerDim).number(0).number(0f);
    }
    launch
        .number(CudaRotate.factor(innerDim))
        .over(few ? SHARERS * n : Math.min(n, multiprocessors), 1, 1);
  }

  private static CudaKernel choose(
      Tensor z,
      Tensor out,
      CudaKernel ofFloats,
      CudaKernel ofFloatsToCodes,
      CudaKernel ofCodes,
      CudaKernel ofCodesToCodes) {
    boolean codes = out.dtype() == DType.I8;
    if (z.dtype() == DType.F32) {
      return codes ? ofFloatsToCodes : ofFloats;
    }
    return codes ? ofCodesToCodes : ofCodes;
  }
}
