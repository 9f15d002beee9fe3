package quamba.kernels.cpu;

import quamba.kernels.DType;
import quamba.kernels.Scan;
import quamba.kernels.Shape;

/**
 * A state that is rounded. Its elements are f32 at all times and are rounded in place, which is
 * what reading a rounded state and replaying the tokens since would give.
 */
final class CpuState extends CpuOpaque {
  private final DType dtype;
  private final CpuTensor floats; // (slots, heads, headDim, stateDim)
  private final StateRounding rounding;

  CpuState(DType dtype, Scan.Dims dims, int slots, StateRounding rounding) {
    this.dtype = dtype;
    this.rounding = rounding;
    Shape shape = Shape.of(slots, dims.heads(), dims.headDim(), dims.stateDim());
    floats = CpuTensor.allocate(DType.F32, shape);
  }

  CpuTensor floats() {
    return floats;
  }

  StateRounding rounding() {
    return rounding;
  }

  @Override
  public DType dtype() {
    return dtype;
  }

  @Override
  public Shape shape() {
    return floats.shape();
  }
}
