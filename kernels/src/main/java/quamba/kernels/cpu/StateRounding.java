package quamba.kernels.cpu;

import quamba.kernels.ScanState;

/** Rounds a state to its format, a block of channels at a time; see {@link ScanState}. */
interface StateRounding {
  /** For a state that stays as it is. */
  StateRounding NONE =
      new StateRounding() {
        @Override
        public void round(float[] s, int at, int channel, int lanes) {}

        @Override
        public int until(int seen) {
          return Integer.MAX_VALUE;
        }

        @Override
        public boolean isDue(int seen) {
          return false;
        }
      };

  /**
   * Rounds the elements (stateDim, lanes) from {@code s[at]} on.
   *
   * @param channel the first lane's, head · headDim + place in the head; the others follow
   */
  void round(float[] s, int at, int channel, int lanes);

  /** Tokens that a sequence has to go until its state is rounded, when it has seen {@code seen}. */
  default int until(int seen) {
    return ScanState.INTERVAL - seen % ScanState.INTERVAL;
  }

  /** Whether the state of a sequence that has seen {@code seen} tokens is to be rounded now. */
  default boolean isDue(int seen) {
    return seen % ScanState.INTERVAL == 0;
  }
}
