package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.DType;
import quamba.kernels.Norm;

/** Adds to the residual stream and norms the sum: {@code residual += x; out = norm(residual)}. */
final class CpuNorm {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  /** Elements of one part: some microseconds of work. */
  private static final int PART = 8192;

  private final CpuThreads threads;
  private float[] scratch = new float[0]; // (threads, dim) a row before it is rounded

  CpuNorm(CpuThreads threads) {
    this.threads = threads;
  }

  void run(Norm p, CpuTensor x, CpuTensor residual, CpuTensor out) {
    CpuTensor weight = (CpuTensor) p.weight();
    int rows = x.shape().dim(0);
    int dim = x.shape().dim(1);
    int rowsPerPart = Math.max(1, PART / Math.max(1, dim));
    boolean codes = out.dtype() == DType.I8;
    if (codes && scratch.length < threads.count() * dim) {
      scratch = new float[threads.count() * dim];
    }
    threads.run(
        (rows + rowsPerPart - 1) / rowsPerPart,
        (part, thread) -> {
          int end = Math.min(rows, (part + 1) * rowsPerPart);
          for (int row = part * rowsPerPart; row < end; row++) {
            int residualAt = residual.offset() + row * residual.stride();
            add(x.floats(), x.offset() + row * x.stride(), residual.floats(), residualAt, dim);
            float square = sumOfSquares(residual.floats(), residualAt, dim);
            float scale = scale(square, dim, p.epsilon());
            float[] normed = codes ? scratch : out.floats();
            int at = codes ? thread * dim : out.at(row);
            multiply(residual.floats(), residualAt, scale, weight, 0, normed, at, dim);
            if (codes) {
              Codes.even(normed, at, out.scales(), 0, out.bytes(), out.at(row), dim);
            }
          }
        });
  }

  /** {@code 1 / sqrt(mean square + epsilon)}. */
  static float scale(float sumOfSquares, int dim, float epsilon) {
    return (float) (1 / Math.sqrt(sumOfSquares / dim + epsilon));
  }

  /** Two vectors of partial sums, then their lanes in order, then what fills no vector. */
  static float sumOfSquares(float[] x, int at, int dim) {
    FloatVector even = FloatVector.zero(SPECIES);
    FloatVector odd = FloatVector.zero(SPECIES);
    int i = 0;
    for (; i <= dim - 2 * LANES; i += 2 * LANES) {
      FloatVector first = FloatVector.fromArray(SPECIES, x, at + i);
      FloatVector second = FloatVector.fromArray(SPECIES, x, at + i + LANES);
      even = first.fma(first, even);
      odd = second.fma(second, odd);
    }
    float sum = even.add(odd).reduceLanes(VectorOperators.ADD);
    for (; i < dim; i++) {
      sum = Math.fma(x[at + i], x[at + i], sum);
    }
    return sum;
  }

  /** {@code out = x · scale · weight[from …]}; out may be x. */
  static void multiply(
      float[] x, int at, float scale, CpuTensor weight, int from, float[] out, int outAt, int dim) {
    float[] w = weight.floats();
    int weightAt = weight.offset() + from;
    int i = 0;
    for (; i <= dim - LANES; i += LANES) {
      FloatVector.fromArray(SPECIES, x, at + i)
          .mul(scale)
          .mul(FloatVector.fromArray(SPECIES, w, weightAt + i))
          .intoArray(out, outAt + i);
    }
    for (; i < dim; i++) {
      out[outAt + i] = x[at + i] * scale * w[weightAt + i];
    }
  }

  private static void add(float[] x, int at, float[] residual, int residualAt, int dim) {
    for (int i = 0; i < dim; i++) {
      residual[residualAt + i] += x[at + i];
    }
  }
}
