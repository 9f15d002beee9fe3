package quamba.udf.quantizer;

/**
 * A 4-bit weight as 8-bit integers with one scale a row, so that it can be multiplied by 8-bit
 * activations with one sum of integers a row (spec 6.6). Of a row's codes q and scales s:
 *
 * <pre>
 *   channelScale = max |q · s| / 127
 *   ratio        = binary16(s / channelScale)    for each group
 *   code         = round(q · ratio)              ties to even, −127 … 127
 *   weight       = code · channelScale
 * </pre>
 *
 * All in single precision. q has 4 bits and the ratio 11, so their product is exact: the code is
 * rounded once, and fused, binary16 and tabulated kernels must agree with it bit for bit.
 */
public final class Expansion {
  static final int MOST = 127;

  private final byte[] codes;
  private final float[] channelScales;

  private Expansion(byte[] codes, float[] channelScales) {
    this.codes = codes;
    this.channelScales = channelScales;
  }

  /** Expands all rows of a 4-bit weight. */
  public static Expansion of(QuantizedTensor weight) {
    int out = weight.out();
    int in = weight.in();
    byte[] codes = new byte[out * in];
    float[] channelScales = new float[out];
    for (int row = 0; row < out; row++) {
      float largest = 0;
      for (int column = 0; column < in; column++) {
        float value = weight.code(row, column) * weight.scale(row, column / WeightFormat.GROUP);
        largest = Math.max(largest, Math.abs(value));
      }
      channelScales[row] = largest / MOST;
      for (int column = 0; column < in; column++) {
        float ratio = ratio(weight.scale(row, column / WeightFormat.GROUP), channelScales[row]);
        codes[row * in + column] = (byte) Math.rint(weight.code(row, column) * ratio);
      }
    }
    return new Expansion(codes, channelScales);
  }

  /** A group's scale in units of the row's; 0 for a row of zeros. */
  public static float ratio(float scale, float channelScale) {
    return channelScale == 0 ? 0 : Half.round(scale / channelScale);
  }

  /** (out, in). */
  public byte[] codes() {
    return codes;
  }

  /** (out). */
  public float[] channelScales() {
    return channelScales;
  }

  /** (out, in): code · channelScale. */
  public Matrix dequantized() {
    int out = channelScales.length;
    int in = codes.length / out;
    float[] values = new float[codes.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = codes[i] * channelScales[i / in];
    }
    return new Matrix(out, in, values);
  }
}
