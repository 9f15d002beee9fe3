package quamba.kernels.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import quamba.kernels.Half;
import quamba.kernels.QuantizedWeight;

/**
 * The order in which {@code linear_codes_few.cu} and {@code linear_codes_sliced.cu} read 4-bit
 * codes, told in {@code int4.cuh}: the codes of each tile of {@link #TILE} outputs and chunk of
 * {@link #CHUNK} inputs, as the lanes of a warp hold them, then the ratios in the same order.
 *
 * @param weight the matrix
 * @param wide it as 8-bit codes, whose scales the ratios go with
 */
record CudaTilePacking(QuantizedWeight.Int4 weight, QuantizedWeight.Int8 wide) {
  /** Outputs of a tile. */
  static final int TILE = 16;

  /** Inputs that one step of a kernel multiplies, and that share a ratio. */
  static final int CHUNK = QuantizedWeight.Int4.GROUP;

  /** Of the codes of a tile's chunk. */
  static final int CODES_BYTES = TILE * CHUNK / 2;

  /** Of the ratios of a tile's chunk, binary16. */
  static final int RATIOS_BYTES = TILE * Short.BYTES;

  private static final int ROWS = TILE / 2; // apart are the two outputs of a lane
  private static final int LANES = 4; // that share an output
  private static final int HALF_BYTES = CODES_BYTES / 2; // of half of the chunk's inputs
  private static final int LANE_BYTES = 4 * Integer.BYTES; // of a half
  private static final long BIAS = 0x8888_8888_8888_8888L; // makes of each nibble q q + 8

  /** Chunks of inputs. */
  int chunks() {
    return CudaLaunch.pieces(weight.in(), CHUNK);
  }

  /** Chunks of all tiles, those of a tile together. */
  int count() {
    return CudaLaunch.pieces(weight.out(), TILE) * chunks();
  }

  /** Where the ratios begin. */
  long ratiosAt() {
    return (long) count() * CODES_BYTES;
  }

  /** Of codes and ratios. */
  long bytes() {
    return (long) count() * (CODES_BYTES + RATIOS_BYTES);
  }

  /** Writes the codes of a tile's chunk to {@code target[at …]}, little-endian. */
  void packCodes(int index, ByteBuffer target, int at) {
    byte[] row = new byte[CHUNK / 2];
    ByteBuffer pairs = ByteBuffer.wrap(row).order(ByteOrder.LITTLE_ENDIAN);
    for (int place = 0; place < TILE; place++) {
      readPairs(index / chunks() * TILE + place, index % chunks(), row);
      int lane = place % ROWS * LANES;
      for (int quarter = 0; quarter < 4; quarter++) { // 32 inputs
        long first = pairs.getLong(quarter * 16) ^ BIAS;
        long second = pairs.getLong(quarter * 16 + Long.BYTES) ^ BIAS;
        long even = even(first) | (even(second) << 8);
        long odd = even(first >>> 4) | (even(second >>> 4) << 8);
        int word = quarter % 2 * 2 + place / ROWS;
        int to = at + quarter / 2 * HALF_BYTES + lane * LANE_BYTES + word * Integer.BYTES;
        for (int four = 0; four < LANES; four++) {
          int nibbles = ((int) even & 0xffff) | ((int) odd << 16);
          target.putInt(to + four * LANE_BYTES, nibbles);
          even >>>= 16;
          odd >>>= 16;
        }
      }
    }
  }

  /** The nibbles of a row's chunk, zero where the matrix has no element. */
  private void readPairs(int o, int chunk, byte[] pairs) {
    int rowBytes = weight.in() / 2;
    int from = chunk * CHUNK / 2;
    int count = o < weight.out() ? Math.min(CHUNK / 2, rowBytes - from) : 0;
    if (count > 0) {
      weight.codes().data().get(o * rowBytes + from, pairs, 0, count);
    }
    Arrays.fill(pairs, count, pairs.length, (byte) 0);
  }

  /** Of each 16 bits the first and the third nibble, side by side. */
  private static long even(long nibbles) {
    return (nibbles & 0x000f_000f_000f_000fL) | ((nibbles >>> 4) & 0x00f0_00f0_00f0_00f0L);
  }

  /** Writes the ratios of a tile's chunk to {@code target[at …]}, little-endian. */
  void packRatios(int index, ByteBuffer target, int at) {
    int chunk = index % chunks();
    for (int row = 0; row < TILE; row++) {
      int o = index / chunks() * TILE + row;
      float ratio = o < weight.out() ? weight.ratio(o, chunk, wide.scale(o)) : 0;
      // One that is not finite has a group of zeros.
      short bits = Float.isFinite(ratio) ? Half.bits(ratio) : 0;
      target.putShort(at + (row % ROWS * 2 + row / ROWS) * Short.BYTES, bits);
    }
  }
}
