package quamba.kernels.cpu;

import quamba.kernels.Conv;
import quamba.kernels.DType;

/** The arguments of one convolution; reads what may be codes as floats. */
record ConvCall(Conv p, CpuBatch batch, CpuTensor x, CpuTensor state, CpuTensor out) {
  /** Whether x, state and out are codes. */
  boolean isCodes() {
    return x.dtype() == DType.I8;
  }

  /** Reads {@code count} channels of a token's input. */
  void readX(int token, int first, int count, float[] to, int at) {
    read(x, x.at(token) + first, first, count, to, at);
  }

  /** Reads {@code count} channels of the row's k-th oldest input. */
  void readState(int row, int k, int first, int count, float[] to, int at) {
    read(state, stateAt(row, k) + first, first, count, to, at);
  }

  /**
   * Writes {@code count} channels of the row's k-th oldest input. A code comes back as it was: code
   * · scale / scale is off by far less than a half.
   */
  void writeState(int row, int k, int first, int count, float[] from, int at) {
    int to = stateAt(row, k) + first;
    if (isCodes()) {
      Codes.even(from, at, x.scales(), first, state.bytes(), to, count);
    } else {
      System.arraycopy(from, at, state.floats(), to, count);
    }
  }

  private int stateAt(int row, int k) {
    return state.at(batch.slot(row)) + k * x.shape().dim(1);
  }

  private void read(CpuTensor from, int fromAt, int first, int count, float[] to, int at) {
    if (isCodes()) {
      Codes.widen(from.bytes(), fromAt, x.scales(), first, to, at, count);
    } else {
      System.arraycopy(from.floats(), fromAt, to, at, count);
    }
  }
}
