package quamba.kernels.cpu;

import quamba.kernels.Batch;

/** Reads the numbers of a {@link Batch}. */
record CpuBatch(int rows, int tokens, CpuTensor slots, CpuTensor starts, CpuTensor positions) {
  static CpuBatch of(Batch batch) {
    return new CpuBatch(
        batch.rows(),
        batch.tokens(),
        (CpuTensor) batch.slots(),
        (CpuTensor) batch.starts(),
        (CpuTensor) batch.positions());
  }

  /** The slot that holds the row's state. */
  int slot(int row) {
    return slots.ints()[slots.offset() + row * slots.stride()];
  }

  /** The row's first token; for the row behind the last, the end of all tokens. */
  int start(int row) {
    return starts.ints()[starts.offset() + row * starts.stride()];
  }

  /** Tokens that the row's state has seen. */
  int position(int row) {
    return positions.ints()[positions.offset() + row * positions.stride()];
  }
}
