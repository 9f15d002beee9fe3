package quamba.kernels.cuda;

import java.nio.ByteBuffer;
import quamba.kernels.QuantizedWeight;

/**
 * The order in which {@code linear_codes_wide.cu} reads 8-bit codes: ({@link #chunks}, {@link
 * #rows}, {@link #CHUNK}), filled up with zeros, 16-byte pieces of a row exchanged. The only place
 * in Java that knows it; in CUDA that is {@code swizzled} in {@code matrix.cuh}.
 *
 * @param weight the matrix
 */
record CudaWidePacking(QuantizedWeight.Int8 weight) {
  /** Inputs that one step of a kernel multiplies. */
  static final int CHUNK = 128;

  /** Bytes that are copied at once. */
  static final int PIECE = 16;

  private static final int PIECES = CHUNK / PIECE;
  private static final byte[] ZEROS = new byte[PIECE];

  /** Chunks of inputs. */
  int chunks() {
    return CudaLaunch.pieces(weight.in(), CHUNK);
  }

  /** Outputs, those that fill up among them: a descriptor's unit are 8 rows. */
  int rows() {
    return CudaLaunch.pieces(weight.out(), PIECES) * PIECES;
  }

  /** Where the code of input i of output o lies. */
  long index(int o, int i) {
    long row = (long) (i / CHUNK) * rows() + o;
    int piece = (i % CHUNK / PIECE) ^ (o % PIECES);
    return (row * PIECES + piece) * PIECE + i % PIECE;
  }

  /**
   * Writes chunk {@code row / rows} of output {@code row % rows} to {@code target[at …]},
   * little-endian.
   */
  void pack(int row, ByteBuffer target, int at) {
    int chunk = row / rows();
    int o = row % rows();
    int in = weight.in();
    ByteBuffer codes = weight.codes().data();
    for (int piece = 0; piece < PIECES; piece++) {
      int i = chunk * CHUNK + piece * PIECE;
      int from = o * in + i;
      int to = at + (piece ^ (o % PIECES)) * PIECE;
      int count = o < weight.out() ? Math.max(0, Math.min(PIECE, in - i)) : 0;
      if (count == PIECE) {
        target.putLong(to, codes.getLong(from));
        target.putLong(to + Long.BYTES, codes.getLong(from + Long.BYTES));
      } else {
        if (count > 0) {
          target.put(to, codes, from, count);
        }
        target.put(to + count, ZEROS, 0, PIECE - count);
      }
    }
  }
}
