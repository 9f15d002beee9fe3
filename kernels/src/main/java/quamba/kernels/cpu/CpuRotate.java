package quamba.kernels.cpu;

import quamba.kernels.DType;
import quamba.kernels.Hadamard;

/** Rotates rows: {@code out = H x / √dim}. */
final class CpuRotate {
  /** Elements of one part: some microseconds of work. */
  private static final int PART = 4096;

  private final CpuThreads threads;
  private Hadamard hadamard = Hadamard.of(1);
  private float[] scratch = new float[0]; // (threads, dim) a row before it is rounded

  CpuRotate(CpuThreads threads) {
    this.threads = threads;
  }

  void run(CpuTensor x, CpuTensor out) {
    int rows = x.shape().dim(0);
    int dim = x.shape().dim(1);
    if (hadamard.size() != dim) {
      hadamard = Hadamard.of(dim);
    }
    boolean codes = out.dtype() == DType.I8;
    if (codes && scratch.length < threads.count() * dim) {
      scratch = new float[threads.count() * dim];
    }
    int rowsPerPart = Math.max(1, PART / Math.max(1, dim));
    threads.run(
        (rows + rowsPerPart - 1) / rowsPerPart,
        (part, thread) -> {
          int end = Math.min(rows, (part + 1) * rowsPerPart);
          for (int row = part * rowsPerPart; row < end; row++) {
            float[] rotated = codes ? scratch : out.floats();
            int at = codes ? thread * dim : out.at(row);
            System.arraycopy(x.floats(), x.at(row), rotated, at, dim);
            hadamard.apply(rotated, at);
            if (codes) {
              Codes.away(rotated, at, out.scales(), 0, out.bytes(), out.at(row), dim);
            }
          }
        });
  }
}
