package quamba.udf.quantizer;

/** Codes and scales of a weight while its tiles fill them in, each its own rows. */
final class CodeRows {
  private static final int LANES = RowTile.LANES;

  private final WeightFormat format;
  private final int out;
  private final int in;
  private final byte[] codes; // (out, in)
  private final float[] scales; // (out, groups)

  CodeRows(WeightFormat format, Matrix weight) {
    QuantizedTensor.checkWidth(format, weight.in());
    this.format = format;
    out = weight.out();
    in = weight.in();
    codes = new byte[out * in];
    scales = new float[out * format.groups(in)];
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

  /** Everything, packed. */
  QuantizedTensor packed() {
    return QuantizedTensor.of(format, out, in, codes, scales);
  }
}
