package quamba.udf.quantizer;

import quamba.kernels.QuantizedWeight;
import quamba.kernels.QuantizedWeight.Int4;
import quamba.kernels.QuantizedWeight.Int8;

/** Looks into rounded weights, whatever their bits. */
final class Stored {
  private Stored() {}

  static int code(QuantizedWeight weight, int row, int column) {
    return weight instanceof Int4 four
        ? four.code(row, column)
        : weight.codes().data().get(row * weight.in() + column);
  }

  /** The scale of group {@code group} of a row; 8 bits have group 0. */
  static float scale(QuantizedWeight weight, int row, int group) {
    return weight instanceof Int4 four ? four.scale(row, group) : ((Int8) weight).scale(row);
  }

  /** (out, in): code · scale. */
  static Matrix matrix(QuantizedWeight weight) {
    int in = weight.in();
    float[] values = new float[weight.out() * in];
    for (int row = 0; row < weight.out(); row++) {
      weight.read(row, values, row * in);
    }
    return new Matrix(weight.out(), in, values);
  }
}
