package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.DType;
import quamba.kernels.Gate;

/** Gates the mixer's output, with or without a norm behind. */
final class CpuGate {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  /** Elements of one part: some microseconds of work. */
  private static final int PART = 4096;

  private final CpuThreads threads;
  private float[] scratch = new float[0]; // (threads, 2, dim) z, and a row before it is rounded

  CpuGate(CpuThreads threads) {
    this.threads = threads;
  }

  void run(Gate p, CpuTensor y, CpuTensor z, CpuTensor out) {
    int rows = y.shape().dim(0);
    int dim = y.shape().dim(1);
    int rowsPerPart = Math.max(1, PART / Math.max(1, dim));
    boolean codes = z.dtype() == DType.I8 || out.dtype() == DType.I8;
    if (codes && scratch.length < threads.count() * 2 * dim) {
      scratch = new float[threads.count() * 2 * dim];
    }
    threads.run(
        (rows + rowsPerPart - 1) / rowsPerPart,
        (part, thread) -> {
          int end = Math.min(rows, (part + 1) * rowsPerPart);
          for (int row = part * rowsPerPart; row < end; row++) {
            row(p, y, z, out, row, thread * 2 * dim);
          }
        });
  }

  private void row(Gate p, CpuTensor y, CpuTensor z, CpuTensor out, int row, int scratchAt) {
    int dim = y.shape().dim(1);
    boolean wideZ = z.dtype() == DType.F32;
    float[] gates = wideZ ? z.floats() : scratch;
    int zAt = wideZ ? z.at(row) : scratchAt;
    if (!wideZ) {
      Codes.widen(z.bytes(), z.at(row), z.scales(), 0, gates, zAt, dim);
    }
    boolean wideOut = out.dtype() == DType.F32;
    float[] gated = wideOut ? out.floats() : scratch;
    int at = wideOut ? out.at(row) : scratchAt + dim;
    gate(y.floats(), y.at(row), gates, zAt, gated, at, dim);
    if (p instanceof Gate.Normed normed) {
      norm(normed, gated, at, dim);
    }
    if (!wideOut) {
      Codes.even(gated, at, out.scales(), 0, out.bytes(), out.at(row), dim);
    }
  }

  /** {@code out = y · silu(z)}. */
  private static void gate(float[] y, int yAt, float[] z, int zAt, float[] out, int outAt, int n) {
    int i = 0;
    for (; i <= n - LANES; i += LANES) {
      Exponential.silu(FloatVector.fromArray(SPECIES, z, zAt + i))
          .mul(FloatVector.fromArray(SPECIES, y, yAt + i))
          .intoArray(out, outAt + i);
    }
    for (; i < n; i++) {
      out[outAt + i] = Exponential.silu(z[zAt + i]) * y[yAt + i];
    }
  }

  private static void norm(Gate.Normed p, float[] out, int at, int dim) {
    CpuTensor weight = (CpuTensor) p.norm().weight();
    int width = dim / p.groups();
    for (int group = 0; group < p.groups(); group++) {
      int from = group * width;
      float square = CpuNorm.sumOfSquares(out, at + from, width);
      float scale = CpuNorm.scale(square, width, p.norm().epsilon());
      CpuNorm.multiply(out, at + from, scale, weight, from, out, at + from, width);
    }
  }
}
