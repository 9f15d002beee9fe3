package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuMemcpyDtoDAsync;

import quamba.kernels.DType;
import quamba.kernels.Shape;

/**
 * Room for rows of codes that do not begin where kernels can load 16 bytes at once. Only models of
 * odd sizes have such rows, so that they are copied one by one.
 */
final class CudaScratch {
  /** What addresses and strides must be multiples of. */
  static final int ALIGNMENT = 16;

  private static final int BYTES = 1 << 20;

  private final CudaContext context;
  private final CudaAddress memory;

  CudaScratch(CudaContext context, CudaArena arena) {
    this.context = context;
    memory = arena.allocate(context.hasWarpgroups() ? BYTES : 0, "room for unaligned rows");
  }

  /** Whether rows begin where they can be loaded. */
  static boolean isAligned(CudaTensor codes) {
    return (codes.address().value() | codes.stride()) % ALIGNMENT == 0;
  }

  /** How many rows of this width there is room for. */
  int rows(int width) {
    CudaLaunch.requireAtMost("in of rows that are not aligned", width, BYTES);
    return BYTES / pitch(width);
  }

  /** A copy of codes with one scale, until the next copy. */
  CudaTensor copy(CudaTensor codes) {
    int width = codes.shape().dim(1);
    CudaTensor copy =
        CudaTensor.dense(DType.I8, Shape.of(codes.entries(), pitch(width)), memory)
            .scaled(codes.scale());
    context.enter();
    for (int row = 0; row < codes.entries(); row++) {
      CudaFaults.check(
          cuMemcpyDtoDAsync(copy.entry(row), codes.entry(row), width, context.stream()),
          "copy on the device");
    }
    return copy.columns(0, width);
  }

  private static int pitch(int width) {
    return CudaLaunch.pieces(width, ALIGNMENT) * ALIGNMENT;
  }
}
