package quamba.kernels.cuda;

import quamba.kernels.DType;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;

/**
 * What a slot of a replayed state holds, as {@code scan_ring.cuh} has it: the state as it was
 * rounded last, and the inputs since.
 *
 * @param format not {@link ScanState.F32}
 * @param input the dtype of x, b and c
 * @param dims that {@link #fits}
 */
record CudaSlot(ScanState format, DType input, Scan.Dims dims) {
  /** The extents that the kernels are made for, as in {@code scan_ring.cuh}. */
  static final int HEAD_DIM = 64;

  static final int STATE_DIM = 128;

  /** Where slots begin: at a line of the cache. */
  private static final int ALIGNMENT = 128;

  /** Whether there are kernels for these extents. */
  static boolean fits(Scan.Dims dims) {
    return dims.headDim() == HEAD_DIM && dims.stateDim() == STATE_DIM;
  }

  /** Bytes from one slot to the next. */
  int bytes() {
    long held = (long) dims.innerDim() * STATE_DIM * elementBytes();
    long scales = format instanceof ScanState.RowScaled ? (long) dims.innerDim() * Float.BYTES : 0;
    long steps = (long) dims.heads() * ScanState.INTERVAL * Float.BYTES;
    long columns = dims.innerDim() + (long) dims.groups() * STATE_DIM; // of x and b
    long inputs = columns * ScanState.INTERVAL * input.bytes();
    long lines = (held + scales + steps + inputs + ALIGNMENT - 1) / ALIGNMENT;
    return Math.toIntExact(lines * ALIGNMENT);
  }

  private int elementBytes() {
    return format instanceof ScanState.F16 ? Short.BYTES : Byte.BYTES;
  }
}
