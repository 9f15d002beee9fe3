package quamba.kernels.cpu;

import quamba.kernels.Scan;

/** The arguments of one scan. */
record ScanCall(
    Scan p,
    CpuBatch batch,
    CpuTensor x,
    CpuTensor dt,
    CpuTensor b,
    CpuTensor c,
    CpuTensor state,
    StateRounding rounding,
    CpuTensor out) {
  /** Where the row's slot begins in the state. */
  int slotAt(int row) {
    return state.offset() + batch.slot(row) * state.stride();
  }

  /** The factor of x that is added to y. */
  float skip(int head) {
    CpuTensor skip = (CpuTensor) p.skip();
    return skip.floats()[skip.offset() + head];
  }
}
