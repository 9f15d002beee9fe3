package quamba.udf.quantizer;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import quamba.kernels.DType;
import quamba.kernels.Half;
import quamba.kernels.HostTensor;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;

/** Codes and scales of a weight while its tiles fill them in, each its own rows. */
final class CodeRows {
  private static final int LANES = RowTile.LANES;

  private final WeightFormat format;
  private final int out;
  private final int in;
  private final byte[] codes; // (out, in)
  private final float[] scales; // (out, groups)

  CodeRows(WeightFormat format, Matrix weight) {
    checkWidth(format, weight.in());
    this.format = format;
    out = weight.out();
    in = weight.in();
    codes = new byte[out * in];
    scales = new float[out * format.groups(in)];
  }

  private static void checkWidth(WeightFormat format, int in) {
    if (format.bits() == 4 && in % 2 != 0) {
      throw new IllegalArgumentException(
          "4-bit weights need an even number of columns, found %d: keep this weight at 8 bits"
              .formatted(in));
    }
  }

  /** Takes one column of a tile, LANES of {@code source} from {@code at} on. */
  void putCodes(int first, int rows, int column, float[] source, int at) {
    for (int lane = 0; lane < rows; lane++) {
      codes[(first + lane) * in + column] = (byte) source[at + lane];
    }
  }

  /** Takes the scales of a tile, (groups, LANES). */
  void putScales(int first, int rows, float[] source) {
    int groups = format.groups(in);
    for (int lane = 0; lane < rows; lane++) {
      for (int group = 0; group < groups; group++) {
        scales[(first + lane) * groups + group] = source[group * LANES + lane];
      }
    }
  }

  /** Everything, packed, with scales as binary16. */
  QuantizedWeight packed() {
    boolean bytes = format.bits() == 8;
    ByteBuffer halves =
        ByteBuffer.allocate(scales.length * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (float scale : scales) {
      halves.putShort(Half.bits(scale));
    }
    return QuantizedWeight.of(
        new HostTensor(
            bytes ? DType.I8 : DType.U8,
            Shape.of(out, in * format.bits() / 8),
            ByteBuffer.wrap(bytes ? codes : nibbles())),
        new HostTensor(
            DType.F16, bytes ? Shape.of(out) : Shape.of(out, format.groups(in)), halves.flip()));
  }

  private byte[] nibbles() {
    byte[] packed = new byte[codes.length / 2];
    for (int i = 0; i < packed.length; i++) {
      packed[i] = (byte) ((codes[2 * i] & 0xf) | codes[2 * i + 1] << 4);
    }
    return packed;
  }
}
