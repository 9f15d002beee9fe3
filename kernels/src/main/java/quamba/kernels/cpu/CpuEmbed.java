package quamba.kernels.cpu;

import java.util.Arrays;
import java.util.function.IntConsumer;
import quamba.kernels.DType;
import quamba.kernels.Tensor;

/** Table look-up: {@code out[i] = table[ids[i]]}; and what comes before it. */
final class CpuEmbed {
  /** Ids of one part. */
  private static final int IDS = 16;

  private final CpuThreads threads;

  CpuEmbed(CpuThreads threads) {
    this.threads = threads;
  }

  void run(CpuTensor ids, Tensor table, CpuTensor out) {
    forEach(
        ids,
        i -> {
          int id = ids.ints()[ids.offset() + i * ids.stride()];
          if (table instanceof CpuPacked packed) {
            copyPacked(packed, id, out, i);
          } else {
            copyPlain((CpuTensor) table, id, out, i);
          }
        });
  }

  /** Fills in ids below 0, zeroes the residual. */
  void begin(CpuTensor ids, CpuTensor chosen, CpuTensor residual) {
    int dim = residual.shape().dim(1);
    forEach(
        ids,
        i -> {
          int at = ids.offset() + i * ids.stride();
          int id = ids.ints()[at];
          if (id < 0) {
            ids.ints()[at] = chosen.ints()[chosen.offset() + (-1 - id) * chosen.stride()];
          }
          int row = residual.offset() + i * residual.stride();
          Arrays.fill(residual.floats(), row, row + dim, 0);
        });
  }

  private void forEach(CpuTensor ids, IntConsumer work) {
    int count = ids.shape().dim(0);
    threads.run(
        (count + IDS - 1) / IDS,
        (part, thread) -> {
          int end = Math.min(count, (part + 1) * IDS);
          for (int i = part * IDS; i < end; i++) {
            work.accept(i);
          }
        });
  }

  private static void copyPacked(CpuPacked table, int id, CpuTensor out, int row) {
    float[] source = table.panels();
    float[] target = out.floats();
    int from = table.start(id);
    int to = out.offset() + row * out.stride();
    int dim = out.shape().dim(1);
    for (int i = 0; i < dim; i++) {
      target[to + i] = source[from + i * CpuPacked.WIDTH];
    }
    if (table.dtype() == DType.I8) {
      float scale = table.rowScales()[id];
      for (int i = to; i < to + dim; i++) {
        target[i] *= scale;
      }
    }
  }

  private static void copyPlain(CpuTensor table, int id, CpuTensor out, int row) {
    System.arraycopy(
        table.floats(),
        table.offset() + id * table.stride(),
        out.floats(),
        out.offset() + row * out.stride(),
        out.shape().dim(1));
  }
}
