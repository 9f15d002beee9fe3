package quamba.kernels.cuda;

import java.util.BitSet;

/**
 * Where neighbours in a vector of f32 differ, known from when it was uploaded; or in a part of it.
 */
final class CudaChanges {
  private final BitSet at; // i if element i differs from i − 1
  private final int first; // the vector's element 0
  private final int end;

  private CudaChanges(BitSet at, int first, int end) {
    this.at = at;
    this.first = first;
    this.end = end;
  }

  /** Of a vector of which nothing is known: everywhere. */
  static CudaChanges everywhere(int count) {
    BitSet at = new BitSet(count);
    at.set(1, Math.max(1, count));
    return new CudaChanges(at, 0, count);
  }

  /** Of these elements. */
  static CudaChanges of(float[] elements) {
    BitSet at = new BitSet(elements.length);
    for (int i = 1; i < elements.length; i++) {
      at.set(i, elements[i] != elements[i - 1]);
    }
    return new CudaChanges(at, 0, elements.length);
  }

  /** Of a part. */
  CudaChanges part(int from, int count) {
    return new CudaChanges(at, first + from, first + from + count);
  }

  /** The first element that differs from the one before in the same group, or −1. */
  int withinGroups(int group) {
    int next = at.nextSetBit(first + 1);
    while (next >= 0 && next < end) {
      if ((next - first) % group != 0) {
        return next - first;
      }
      next = at.nextSetBit(next + 1);
    }
    return -1;
  }
}
