package quamba.kernels.cuda;

import quamba.kernels.DType;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;

/**
 * A state that is rounded. Either its slots are as {@link CudaSlot} says, and scan replays the
 * inputs since the last rounding; or its elements are f32 at all times and are rounded in place,
 * which is the same but for the order of sums.
 */
final class CudaState extends CudaOpaque {
  /** To what scan rounds in place, as in {@code scan.cuh}. */
  static final int ROUND_NEVER = 0;

  static final int ROUND_HALF = 1;
  static final int ROUND_ROW_SCALED = 2;
  static final int ROUND_STATIC_SCALED = 3;

  private final ScanState format;
  private final CudaTensor elements;

  private CudaState(ScanState format, Shape shape, CudaTensor elements) {
    super(format instanceof ScanState.F16 ? DType.F16 : DType.I8, shape);
    this.format = format;
    this.elements = elements;
  }

  /** One of f32 (slots, heads, headDim, stateDim) that is rounded in place. */
  static CudaState inPlace(ScanState format, CudaTensor floats) {
    return new CudaState(format, floats.shape(), floats);
  }

  /**
   * One that is replayed.
   *
   * @param shape (slots, heads, headDim, stateDim)
   * @param slots (slots, {@link CudaSlot#bytes}) i8
   */
  static CudaState replayed(ScanState format, Shape shape, CudaTensor slots) {
    return new CudaState(format, shape, slots);
  }

  /** What lies in memory: f32, or bytes if it is replayed. */
  CudaTensor elements() {
    return elements;
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
