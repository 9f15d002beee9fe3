package quamba.kernels.cuda;

import java.nio.FloatBuffer;
import java.util.Arrays;
import quamba.kernels.HostFloats;
import quamba.kernels.HostTensor;

/**
 * The order in which {@code linear.cu} reads a matrix (out, in): (ceil(out / {@link #PANEL}),
 * ceil(in / {@link #GROUP}), PANEL, GROUP), filled up with zeros. The only place in Java that knows
 * it; in CUDA that is {@code packed_at} in {@code device.cuh}.
 *
 * @param out rows of the matrix, a linear operation's outputs
 * @param in its columns
 */
record CudaPacking(int out, int in) {
  /** Outputs of a panel, which one block computes. */
  static final int PANEL = 64;

  /** Neighbouring inputs, which one thread loads at once. */
  static final int GROUP = 4;

  /** Panels of {@link #PANEL} outputs. */
  int panels() {
    return (out + PANEL - 1) / PANEL;
  }

  /** Groups of {@link #GROUP} inputs. */
  int groups() {
    return (in + GROUP - 1) / GROUP;
  }

  /** Elements of the packed matrix. */
  long length() {
    return (long) panels() * groups() * PANEL * GROUP;
  }

  /** Where element (o, i) lies. */
  long index(int o, int i) {
    long group = (long) (o / PANEL) * groups() + i / GROUP;
    return (group * PANEL + o % PANEL) * GROUP + i % GROUP;
  }

  /**
   * Packs {@code count} groups of one panel, which lie together: fills {@code target} from its
   * start, with {@code index(panel · PANEL, firstGroup · GROUP)} there.
   */
  void pack(HostTensor weight, int panel, int firstGroup, int count, FloatBuffer target) {
    int firstIn = firstGroup * GROUP;
    int inputs = Math.min(in - firstIn, count * GROUP);
    float[] row = new float[count * GROUP];
    for (int place = 0; place < PANEL; place++) {
      int o = panel * PANEL + place;
      if (o < out) {
        HostFloats.read(weight, o * in + firstIn, inputs, row, 0);
      } else {
        Arrays.fill(row, 0);
      }
      for (int group = 0; group < count; group++) {
        target.put((group * PANEL + place) * GROUP, row, group * GROUP, GROUP);
      }
    }
  }
}
