package quamba.udf.quantizer;

/** A weight, row-major: one row for each output. */
public final class Matrix {
  private final int out;
  private final int in;
  private final float[] values;

  /**
   * A matrix that is the array, not a copy.
   *
   * @param out rows
   * @param in columns
   * @param values (out, in)
   */
  public Matrix(int out, int in, float[] values) {
    if (out < 1 || in < 1 || (long) out * in != values.length) {
      throw new IllegalArgumentException(
          "a matrix (%d, %d) of %d values".formatted(out, in, values.length));
    }
    this.out = out;
    this.in = in;
    this.values = values;
  }

  /** Rows. */
  public int out() {
    return out;
  }

  /** Columns. */
  public int in() {
    return in;
  }

  /** (out, in), the array itself. */
  public float[] values() {
    return values;
  }
}
