package quamba.kernels.cuda;

import java.util.List;
import quamba.kernels.DType;
import quamba.kernels.Shape;

/**
 * A matrix (out, in) of codes for I8 inputs, in the orders of the kernels for devices with
 * warpgroups: 8-bit always, for many rows; 4-bit too if it was given so, for few.
 */
final class CudaCodes extends CudaOpaque {
  private final List<CudaTensor> fourBit; // bytes as CudaTilePacking has them, or none
  private final CudaTensor eightBit; // (chunks, rows, CHUNK) i8 as CudaWidePacking has them
  private final CudaTensor rowScales; // (out) f32

  private CudaCodes(
      List<CudaTensor> fourBit, CudaTensor eightBit, CudaTensor rowScales, Shape shape) {
    super(DType.I8, shape);
    this.fourBit = fourBit;
    this.eightBit = eightBit;
    this.rowScales = rowScales;
  }

  static CudaCodes eightBit(CudaTensor eightBit, CudaTensor rowScales, Shape shape) {
    return new CudaCodes(List.of(), eightBit, rowScales, shape);
  }

  static CudaCodes fourBit(
      CudaTensor fourBit, CudaTensor eightBit, CudaTensor rowScales, Shape shape) {
    return new CudaCodes(List.of(fourBit), eightBit, rowScales, shape);
  }

  boolean hasFourBit() {
    return !fourBit.isEmpty();
  }

  /** The 4-bit codes and ratios; only if it has them. */
  CudaTensor fourBit() {
    return fourBit.get(0);
  }

  /** The 8-bit codes. */
  CudaTensor eightBit() {
    return eightBit;
  }

  /** What a row's 8-bit codes are multiplied by. */
  CudaTensor rowScales() {
    return rowScales;
  }
}
