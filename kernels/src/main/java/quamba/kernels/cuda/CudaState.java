package quamba.kernels.cuda;

import quamba.kernels.DType;
import quamba.kernels.ScanState;

/**
 * A state that is rounded. Its elements are f32 at all times and are rounded in place, which is
 * what reading a rounded state and replaying the inputs since would give.
 */
final class CudaState extends CudaOpaque {
  /** To what scan rounds, as in {@code scan.cuh}. */
  static final int ROUND_NEVER = 0;

  static final int ROUND_HALF = 1;
  static final int ROUND_ROW_SCALED = 2;
  static final int ROUND_STATIC_SCALED = 3;

  private final ScanState format;
  private final CudaTensor floats; // (slots, heads, headDim, stateDim)

  CudaState(ScanState format, CudaTensor floats) {
    super(format instanceof ScanState.F16 ? DType.F16 : DType.I8, floats.shape());
    this.format = format;
    this.floats = floats;
  }

  CudaTensor floats() {
    return floats;
  }

  ScanState format() {
    return format;
  }

  /** The number of a format in {@code scan.cuh}. */
  static int rounding(ScanState format) {
    if (format instanceof ScanState.F16) {
      return ROUND_HALF;
    }
    if (format instanceof ScanState.RowScaled) {
      return ROUND_ROW_SCALED;
    }
    return format instanceof ScanState.StaticScaled ? ROUND_STATIC_SCALED : ROUND_NEVER;
  }
}
