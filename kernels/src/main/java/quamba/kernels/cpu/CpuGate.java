package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Gate;

/** Gates the mixer's output, with or without a norm behind. */
final class CpuGate {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  /** Elements of one part: some microseconds of work. */
  private static final int PART = 4096;

  private final CpuThreads threads;

  CpuGate(CpuThreads threads) {
    this.threads = threads;
  }

  void run(Gate p, CpuTensor y, CpuTensor z, CpuTensor out) {
    int rows = y.shape().dim(0);
    int dim = y.shape().dim(1);
    int rowsPerPart = Math.max(1, PART / Math.max(1, dim));
    threads.run(
        (rows + rowsPerPart - 1) / rowsPerPart,
        (part, thread) -> {
          int end = Math.min(rows, (part + 1) * rowsPerPart);
          for (int row = part * rowsPerPart; row < end; row++) {
            int yAt = y.offset() + row * y.stride();
            int zAt = z.offset() + row * z.stride();
            int outAt = out.offset() + row * out.stride();
            gate(y.floats(), yAt, z.floats(), zAt, out.floats(), outAt, dim);
            if (p instanceof Gate.Normed normed) {
              norm(normed, out.floats(), outAt, dim);
            }
          }
        });
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
