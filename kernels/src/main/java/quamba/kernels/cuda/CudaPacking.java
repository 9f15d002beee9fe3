package quamba.kernels.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The order in which {@code linear.cu} and {@code linear_codes.cu} read a matrix (out, in):
 * (ceil(out / {@link #PANEL}), ceil(in / {@link #group}), PANEL, group), filled up with zeros. The
 * only place in Java that knows it; in CUDA that is {@code packed_at} in {@code device.cuh}.
 *
 * @param out rows of the matrix, a linear operation's outputs
 * @param in its columns
 * @param elementBytes 4 of f32, 1 of codes
 */
record CudaPacking(int out, int in, int elementBytes) {
  /** Outputs of a panel, which one block computes. */
  static final int PANEL = 64;

  /** Bytes of neighbouring inputs, which one thread loads at once. */
  static final int GROUP_BYTES = 16;

  /** The elements of a matrix, from wherever they are. */
  interface Rows {
    /**
     * Puts {@code count} little-endian elements of row {@code row} from column {@code first} on.
     */
    void read(int row, int first, int count, ByteBuffer target);
  }

  /** Neighbouring inputs, which one thread loads at once. */
  int group() {
    return GROUP_BYTES / elementBytes;
  }

  /** Panels of {@link #PANEL} outputs. */
  int panels() {
    return (out + PANEL - 1) / PANEL;
  }

  /** Groups of {@link #group} inputs. */
  int groups() {
    return (in + group() - 1) / group();
  }

  /** Elements of the packed matrix. */
  long length() {
    return (long) panels() * groups() * PANEL * group();
  }

  /** Where element (o, i) lies. */
  long index(int o, int i) {
    long group = (long) (o / PANEL) * groups() + i / group();
    return (group * PANEL + o % PANEL) * group() + i % group();
  }

  /**
   * Packs {@code count} groups of one panel, which lie together: fills {@code target} from its
   * start, with {@code index(panel · PANEL, firstGroup · group)} there.
   */
  void pack(Rows rows, int panel, int firstGroup, int count, ByteBuffer target) {
    int first = firstGroup * group();
    int inputs = Math.min(in - first, count * group());
    ByteBuffer none = row(count);
    ByteBuffer row = row(count); // behind the inputs it stays zero
    for (int place = 0; place < PANEL; place++) {
      int o = panel * PANEL + place;
      if (o < out) {
        rows.read(o, first, inputs, row.clear());
      }
      ByteBuffer from = o < out ? row : none;
      for (int group = 0; group < count; group++) {
        target.put((group * PANEL + place) * GROUP_BYTES, from, group * GROUP_BYTES, GROUP_BYTES);
      }
    }
  }

  private static ByteBuffer row(int groups) {
    return ByteBuffer.allocate(groups * GROUP_BYTES).order(ByteOrder.LITTLE_ENDIAN);
  }
}
