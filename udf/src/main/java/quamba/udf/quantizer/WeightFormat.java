package quamba.udf.quantizer;

import quamba.kernels.QuantizedWeight;
import quamba.kernels.QuantizedWeight.Int4;

/**
 * How a weight is stored and multiplied. Symmetric, without zero points; scales are binary16, and
 * rounding uses the scale as it is stored.
 */
public enum WeightFormat {
  /** Codes −127 … 127, a scale for each row; weight = code · scale. */
  INT8,
  /** As {@link #INT8}, with the same scale for all rows. */
  INT8_TENSOR,
  /**
   * Codes −8 … 7, a scale for each group of 128 columns of a row, the last group of a row maybe
   * shorter; weight = code · scale, multiplied in floating point. A scale may be negative, which
   * gives the longer end of the grid to whichever sign needs it.
   */
  INT4,
  /** As {@link #INT4}, multiplied as integers: the weight is that of {@link Int4#asInt8}. */
  INT4_AS_INT8;

  /** Bits of a code. */
  public int bits() {
    return this == INT8 || this == INT8_TENSOR ? 8 : 4;
  }

  /** Scales of a row of {@code in} columns. */
  public int groups(int in) {
    return bits() == 8 ? 1 : (in + Int4.GROUP - 1) / Int4.GROUP;
  }

  /** The matrix whose values a product in this format really uses, of one as it is stored. */
  public QuantizedWeight effective(QuantizedWeight weight) {
    return this == INT4_AS_INT8 ? weight.asInt8() : weight;
  }

  /** Lowest code. */
  int low() {
    return bits() == 8 ? -127 : -8;
  }

  /** Highest code. */
  int high() {
    return bits() == 8 ? 127 : 7;
  }

  /** The scale of {@link ScaleChoice#ABSMAX} in units of the largest magnitude. */
  float absmaxFraction() {
    return bits() == 8 ? 1f / 127 : 2f / 15;
  }

  /** Columns that share a scale, in a row of {@code in}. */
  int group(int in) {
    return bits() == 8 ? in : Math.min(in, Int4.GROUP);
  }
}
