package quamba.udf.quantizer;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;

/**
 * A rounded weight as a checkpoint holds it, logical and row-major: the codes under the weight's
 * own name, the scales under that name with {@link #SCALE_SUFFIX}.
 *
 * @param codes 8-bit: (out, in) I8. 4-bit: (out, in / 2) U8, two's complement nibbles, that of the
 *     even column in the low half
 * @param scales F16: (out) for 8 bits, (out, groups) for 4
 */
public record QuantizedTensor(HostTensor codes, HostTensor scales) {
  /** What follows a weight's name in the name of its scales. */
  public static final String SCALE_SUFFIX = "_scale";

  /** Checks dtypes and extents against each other. */
  public QuantizedTensor {
    Shape shape = codes.shape();
    boolean bytes = codes.dtype() == DType.I8;
    boolean good =
        shape.rank() == 2
            && (bytes || codes.dtype() == DType.U8)
            && scales.dtype() == DType.F16
            && scales.shape().equals(scaleShape(shape, bytes ? 8 : 4));
    if (!good) {
      throw new IllegalArgumentException(
          "codes must be I8 (out, in) with scales F16 (out), or U8 (out, in / 2) with scales F16 (out, groups of %d); found codes %s %s, scales %s %s"
              .formatted(WeightFormat.GROUP, codes.dtype(), shape, scales.dtype(), scales.shape()));
    }
  }

  private static Shape scaleShape(Shape codes, int bits) {
    int out = codes.dim(0);
    int in = codes.dim(1) * 8 / bits;
    return bits == 8 ? Shape.of(out) : Shape.of(out, WeightFormat.INT4.groups(in));
  }

  /**
   * Packs codes and scales.
   *
   * @param codes (out, in)
   * @param scales (out, groups), values of binary16
   */
  static QuantizedTensor of(WeightFormat format, int out, int in, byte[] codes, float[] scales) {
    checkWidth(format, in);
    int bits = format.bits();
    byte[] packed = bits == 8 ? codes : nibbles(codes);
    Shape shape = Shape.of(out, in * bits / 8);
    ByteBuffer halves =
        ByteBuffer.allocate(scales.length * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (float scale : scales) {
      halves.putShort(Half.bits(scale));
    }
    return new QuantizedTensor(
        new HostTensor(bits == 8 ? DType.I8 : DType.U8, shape, ByteBuffer.wrap(packed)),
        new HostTensor(DType.F16, scaleShape(shape, bits), halves.flip()));
  }

  /** Refuses widths that 4-bit codes cannot have. */
  static void checkWidth(WeightFormat format, int in) {
    if (format.bits() == 4 && in % 2 != 0) {
      throw new IllegalArgumentException(
          "4-bit weights need an even number of columns, found %d: keep this weight at 8 bits"
              .formatted(in));
    }
  }

  private static byte[] nibbles(byte[] codes) {
    byte[] packed = new byte[codes.length / 2];
    for (int i = 0; i < packed.length; i++) {
      packed[i] = (byte) ((codes[2 * i] & 0xf) | codes[2 * i + 1] << 4);
    }
    return packed;
  }

  /** Rows. */
  public int out() {
    return codes.shape().dim(0);
  }

  /** Columns. */
  public int in() {
    return codes.shape().dim(1) * 8 / bits();
  }

  /** Bits of a code: 4 or 8. */
  public int bits() {
    return codes.dtype() == DType.I8 ? 8 : 4;
  }

  /** Scales of a row. */
  public int groups() {
    return bits() == 8 ? 1 : scales.shape().dim(1);
  }

  /** The code at a place. */
  public int code(int row, int column) {
    if (bits() == 8) {
      return codes.data().get(row * in() + column);
    }
    int pair = codes.data().get(row * (in() / 2) + column / 2);
    return column % 2 == 0 ? pair << 28 >> 28 : pair >> 4;
  }

  /** The scale of group {@code group} of a row. */
  public float scale(int row, int group) {
    return Half.value(scales.data().getShort((row * groups() + group) * Short.BYTES));
  }

  /** (out, in): code · scale. */
  public Matrix dequantized() {
    float[] values = new float[out() * in()];
    for (int row = 0, at = 0; row < out(); row++) {
      for (int column = 0; column < in(); column++) {
        int group = groups() == 1 ? 0 : column / WeightFormat.GROUP;
        values[at++] = code(row, column) * scale(row, group);
      }
    }
    return new Matrix(out(), in(), values);
  }

  /** (out, in): the weight that a product in {@code format} really uses. */
  public Matrix effective(WeightFormat format) {
    return format == WeightFormat.INT4_AS_INT8 ? Expansion.of(this).dequantized() : dequantized();
  }
}
