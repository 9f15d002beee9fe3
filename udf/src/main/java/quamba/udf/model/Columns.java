package quamba.udf.model;

import java.util.Arrays;
import quamba.kernels.DType;

/** Successive columns of a matrix of activations in one layer: floats, or codes with scales. */
final class Columns {
  private final int first;
  private final int count;
  private final float[] scales; // (0) of floats; of codes (1) for all columns, or (count)

  Columns(int first, int count, float... scales) {
    this.first = first;
    this.count = count;
    this.scales = scales;
  }

  int first() {
    return first;
  }

  int count() {
    return count;
  }

  /** (0) of floats; of codes (1) for all columns, or (count). */
  float[] scales() {
    return scales;
  }

  DType dtype() {
    return scales.length == 0 ? DType.F32 : DType.I8;
  }

  /** These columns and those of {@code next}, which follow them and have the same dtype. */
  Columns and(Columns next) {
    int both = count + next.count;
    if (dtype() == DType.F32) {
      return new Columns(first, both);
    }
    float[] all = Arrays.copyOf(expanded(), both);
    System.arraycopy(next.expanded(), 0, all, count, next.count);
    return new Columns(first, both, all);
  }

  private float[] expanded() {
    if (scales.length == count) {
      return scales;
    }
    float[] all = new float[count];
    Arrays.fill(all, scales[0]);
    return all;
  }
}
