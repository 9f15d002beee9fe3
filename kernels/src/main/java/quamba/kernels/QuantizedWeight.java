package quamba.kernels;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.stream.IntStream;

/**
 * A matrix (out, in) as integer codes with scales, logical and row-major as a checkpoint holds it.
 * Symmetric: value = code · scale, in single precision.
 */
public sealed interface QuantizedWeight {
  /** The codes, as they are stored. */
  HostTensor codes();

  /** The scales of the codes, as they are stored. */
  HostTensor scales();

  /** Rows. */
  int out();

  /** Columns. */
  int in();

  /** Writes the values of row {@code row}, {@link #in} of them, to {@code target[at …]}. */
  void read(int row, float[] target, int at);

  /**
   * The matrix as 8-bit codes with one scale a row, as it meets 8-bit activations: the value that
   * counts is code · scale of this.
   */
  Int8 asInt8();

  /**
   * The matrix of these codes, 8-bit if they are I8 and 4-bit if U8.
   *
   * @throws IllegalArgumentException with what was expected and found if they do not fit together
   */
  static QuantizedWeight of(HostTensor codes, HostTensor scales) {
    return codes.dtype() == DType.I8 ? new Int8(codes, scales) : new Int4(codes, scales);
  }

  /**
   * 8-bit codes and a scale for each row.
   *
   * @param codes (out, in) I8
   * @param scales (out) F16 or F32
   */
  record Int8(HostTensor codes, HostTensor scales) implements QuantizedWeight {
    /** Checks dtypes and shapes. */
    public Int8 {
      if (codes.dtype() != DType.I8 || codes.shape().rank() != 2) {
        throw new IllegalArgumentException(
            "codes: expected I8 (out, in), found %s %s".formatted(codes.dtype(), codes.shape()));
      }
      checkScales(scales, Shape.of(codes.shape().dim(0)));
    }

    @Override
    public int out() {
      return codes.shape().dim(0);
    }

    @Override
    public int in() {
      return codes.shape().dim(1);
    }

    /** The scale of a row. */
    public float scale(int row) {
      return element(scales, row);
    }

    @Override
    public void read(int row, float[] target, int at) {
      readCodes(row, target, at);
      float scale = scale(row);
      for (int i = at; i < at + in(); i++) {
        target[i] *= scale;
      }
    }

    /** Writes the codes of row {@code row}, {@link #in} of them, to {@code target[at …]}. */
    public void readCodes(int row, float[] target, int at) {
      int in = in();
      for (int i = 0; i < in; i++) {
        target[at + i] = codes.data().get(row * in + i);
      }
    }

    @Override
    public Int8 asInt8() {
      return this;
    }
  }

  /**
   * 4-bit codes −8 … 7 and a scale for each {@link #GROUP} columns of a row, the last group maybe
   * shorter. As 8-bit codes a row is (spec 6.6), of its codes q and scales s:
   *
   * <pre>
   *   rowScale = max |q · s| / 127
   *   ratio    = binary16(s / rowScale)   for each group; 0 if rowScale is 0
   *   code     = round(q · ratio)         ties to even
   * </pre>
   *
   * all in single precision. The product of 4-bit q and 11-bit ratio is exact, so that a code is
   * rounded once and every way of computing it agrees.
   *
   * @param codes (out, in / 2) U8: two's complement nibbles, that of the even column in the low
   *     half
   * @param scales (out, ceil(in / 128)) F16 or F32, of either sign
   */
  record Int4(HostTensor codes, HostTensor scales) implements QuantizedWeight {
    /** Columns that share a scale. */
    public static final int GROUP = 128;

    /** Largest magnitude of the 8-bit codes that a row becomes. */
    public static final int MOST = 127;

    /** Of a byte that holds two codes q the bits |q|. */
    private static final short[] MAGNITUDES = magnitudes();

    private static short[] magnitudes() {
      short[] bits = new short[1 << Byte.SIZE];
      for (int pair = 0; pair < bits.length; pair++) {
        bits[pair] = (short) (1 << Math.abs(low((byte) pair)) | 1 << Math.abs(high((byte) pair)));
      }
      return bits;
    }

    /** Checks dtypes and shapes. */
    public Int4 {
      if (codes.dtype() != DType.U8 || codes.shape().rank() != 2) {
        throw new IllegalArgumentException(
            "codes: expected U8 (out, in / 2), found %s %s"
                .formatted(codes.dtype(), codes.shape()));
      }
      int groups = (2 * codes.shape().dim(1) + GROUP - 1) / GROUP;
      checkScales(scales, Shape.of(codes.shape().dim(0), groups));
    }

    @Override
    public int out() {
      return codes.shape().dim(0);
    }

    @Override
    public int in() {
      return 2 * codes.shape().dim(1);
    }

    /** The code of the even column of a byte. */
    private static int low(byte pair) {
      return pair << 28 >> 28;
    }

    /** The code of the odd column of a byte. */
    private static int high(byte pair) {
      return pair >> 4;
    }

    /** The code at a place. */
    public int code(int row, int column) {
      byte pair = codes.data().get(row * codes.shape().dim(1) + column / 2);
      return column % 2 == 0 ? low(pair) : high(pair);
    }

    /** The scale of group {@code group} of a row. */
    public float scale(int row, int group) {
      return element(scales, row * scales.shape().dim(1) + group);
    }

    private byte[] pairs(int row) {
      byte[] pairs = new byte[codes.shape().dim(1)];
      codes.data().get(row * pairs.length, pairs);
      return pairs;
    }

    /** Where a group's bytes end in a row of this many. */
    private static int end(int group, int rowBytes) {
      return Math.min((group + 1) * GROUP / 2, rowBytes);
    }

    @Override
    public void read(int row, float[] target, int at) {
      byte[] pairs = pairs(row);
      for (int i = 0, group = 0; i < pairs.length; group++) {
        float scale = scale(row, group);
        for (int end = end(group, pairs.length); i < end; i++) {
          target[at + 2 * i] = low(pairs[i]) * scale;
          target[at + 2 * i + 1] = high(pairs[i]) * scale;
        }
      }
    }

    /** The scale of a row as 8-bit codes. */
    public float rowScale(int row) {
      return rowScale(row, pairs(row));
    }

    private float rowScale(int row, byte[] pairs) {
      float most = 0;
      for (int i = 0, group = 0; i < pairs.length; group++) {
        int seen = 0;
        for (int end = end(group, pairs.length); i < end; i++) {
          seen |= MAGNITUDES[pairs[i] & 0xff];
        }
        int largest = Integer.SIZE - 1 - Integer.numberOfLeadingZeros(seen);
        most = Math.max(most, Math.abs(largest * scale(row, group)));
      }
      return most / MOST;
    }

    /** What a 4-bit code of a group is multiplied by to become an 8-bit code of the row. */
    public float ratio(int row, int group, float rowScale) {
      return ratio(scale(row, group), rowScale);
    }

    /** As {@link #ratio(int, int, float)}, of a group with the scale {@code scale}. */
    public static float ratio(float scale, float rowScale) {
      return rowScale == 0 ? 0 : Half.round(scale / rowScale);
    }

    @Override
    public Int8 asInt8() {
      byte[] wide = new byte[Math.multiplyExact(out(), in())];
      ByteBuffer codes = ByteBuffer.wrap(wide).order(ByteOrder.LITTLE_ENDIAN);
      float[] rowScales = new float[out()];
      IntStream.range(0, out()).parallel().forEach(row -> rowScales[row] = widen(row, codes));
      return new Int8(
          new HostTensor(DType.I8, Shape.of(out(), in()), codes),
          HostTensor.of(Shape.of(out()), rowScales));
    }

    /** Writes a row's 8-bit codes to {@code wide} and says their scale. */
    private float widen(int row, ByteBuffer wide) {
      byte[] pairs = pairs(row);
      float rowScale = rowScale(row, pairs);
      int[] eightBit = new int[16]; // by the nibble
      int at = 2 * row * pairs.length;
      for (int i = 0, group = 0; i < pairs.length; group++) {
        float ratio = ratio(row, group, rowScale);
        for (int code = -8; code < 8; code++) {
          eightBit[code & 0xf] = (byte) Math.rint(code * ratio) & 0xff;
        }
        for (int end = end(group, pairs.length); i < end; i++) {
          int even = eightBit[pairs[i] & 0xf];
          int odd = eightBit[pairs[i] >> 4 & 0xf];
          wide.putShort(at + 2 * i, (short) (even | odd << Byte.SIZE));
        }
      }
      return rowScale;
    }
  }

  private static void checkScales(HostTensor scales, Shape expected) {
    boolean known = scales.dtype() == DType.F16 || scales.dtype() == DType.F32;
    if (!known || !scales.shape().equals(expected)) {
      throw new IllegalArgumentException(
          "scales: expected F16 or F32 %s, found %s %s"
              .formatted(expected, scales.dtype(), scales.shape()));
    }
  }

  private static float element(HostTensor tensor, int index) {
    return tensor.dtype() == DType.F16
        ? Half.value(tensor.data().getShort(index * Short.BYTES))
        : tensor.data().getFloat(index * Float.BYTES);
  }
}
