package quamba.kernels.cpu;

import java.util.Arrays;
import quamba.kernels.DType;
import quamba.kernels.Linear;

/**
 * Matrix product with a packed weight. A part is some panels by some rows; within it each piece of
 * a panel, small enough for the caches, meets all rows before the next piece is read. Every output
 * is summed over its inputs from first to last, whatever the cut.
 *
 * <p>Codes are summed as floats, too, but for no more than {@link #EXACT} inputs: up to there every
 * sum is an integer of at most 2^24, so exact. Longer sums are of such sums, as integers.
 */
final class CpuLinear {
  private static final int WIDTH = CpuPacked.WIDTH;

  /** Inputs of one piece of a panel: 64 KiB with 16 lanes. */
  private static final int DEPTH = 512;

  /** Inputs whose products of codes, at most 2^14 each, add up to at most 2^24. */
  private static final int EXACT = 2 * DEPTH;

  /** Rows of one part: with DEPTH inputs each they stay in the second-level cache. */
  private static final int ROWS = 128;

  /** Codes cast in one part: some microseconds. */
  private static final int CAST = 16_384;

  /** Multiply-adds of one part, about: some ten microseconds. */
  private static final long PART = 400_000;

  private final CpuThreads threads;
  private final float[] sums; // (threads, ROWS, WIDTH): near, where rows of out may be far apart
  private final int[] totals; // (threads, ROWS, WIDTH): sums of more codes than EXACT
  private float[] codes = new float[0]; // (rows, in) of I8 inputs

  CpuLinear(CpuThreads threads) {
    this.threads = threads;
    this.sums = new float[threads.count() * ROWS * WIDTH];
    this.totals = new int[sums.length];
  }

  void run(Linear p, CpuTensor x, CpuTensor out) {
    CpuPacked weight = (CpuPacked) p.weight();
    int rows = x.shape().dim(0);
    int in = x.shape().dim(1);
    int panels = (out.shape().dim(1) + WIDTH - 1) / WIDTH;
    if (rows == 0 || panels == 0) {
      return;
    }
    int rowsPerPart = rowsPerPart(rows, panels);
    long panelWork = Math.max(1L, (long) Math.min(rows, rowsPerPart) * in * WIDTH);
    int panelsPerPart = (int) Math.max(1, Math.min(panels, PART / panelWork));
    int rowParts = (rows + rowsPerPart - 1) / rowsPerPart;
    int panelParts = (panels + panelsPerPart - 1) / panelsPerPart;
    boolean integers = weight.dtype() == DType.I8;
    CpuTensor inputs = integers ? codes(x) : x;
    threads.run(
        rowParts * panelParts,
        (part, thread) -> {
          int firstRow = part / panelParts * rowsPerPart;
          int endRow = Math.min(rows, firstRow + rowsPerPart);
          int firstPanel = part % panelParts * panelsPerPart;
          int endPanel = Math.min(panels, firstPanel + panelsPerPart);
          for (int panel = firstPanel; panel < endPanel; panel++) {
            if (integers) {
              sumCodes(weight, panel, inputs, firstRow, endRow, thread);
              scale(weight, panel, x.scales().of(0), out, firstRow, endRow, thread);
            } else {
              panel(weight, panel, inputs, out, firstRow, endRow, thread);
            }
          }
        });
  }

  /** Few panels for many threads: then rows are cut finer. */
  private int rowsPerPart(int rows, int panels) {
    int cuts = (4 * threads.count() + panels - 1) / panels;
    int even = (rows + cuts - 1) / cuts;
    int whole = (even + LinearTile.ROWS - 1) / LinearTile.ROWS * LinearTile.ROWS;
    return Math.min(ROWS, Math.max(LinearTile.ROWS, whole));
  }

  private void panel(
      CpuPacked weight,
      int panel,
      CpuTensor x,
      CpuTensor out,
      int firstRow,
      int endRow,
      int thread) {
    int in = x.shape().dim(1);
    int rows = endRow - firstRow;
    int sumsAt = thread * ROWS * WIDTH;
    Arrays.fill(sums, sumsAt, sumsAt + rows * WIDTH, 0);
    int xAt = x.offset() + firstRow * x.stride();
    for (int from = 0; from < in; from += DEPTH) {
      int depth = Math.min(DEPTH, in - from);
      int weightAt = (panel * in + from) * WIDTH;
      LinearTile.add(
          rows, depth, x.floats(), xAt + from, x.stride(), weight.panels(), weightAt, sums, sumsAt);
    }
    int columns = Math.min(WIDTH, out.shape().dim(1) - panel * WIDTH);
    int outAt = out.offset() + firstRow * out.stride() + panel * WIDTH;
    for (int row = 0; row < rows; row++) {
      System.arraycopy(
          sums, sumsAt + row * WIDTH, out.floats(), outAt + row * out.stride(), columns);
    }
  }

  /** The codes of {@code x} as floats. */
  private CpuTensor codes(CpuTensor x) {
    int rows = x.shape().dim(0);
    int in = x.shape().dim(1);
    if (codes.length < rows * in) {
      codes = new float[rows * in];
    }
    int rowsPerPart = Math.max(1, CAST / Math.max(1, in));
    threads.run(
        (rows + rowsPerPart - 1) / rowsPerPart,
        (part, thread) -> {
          int end = Math.min(rows, (part + 1) * rowsPerPart);
          for (int row = part * rowsPerPart; row < end; row++) {
            Codes.cast(x.bytes(), x.at(row), codes, row * in, in);
          }
        });
    return CpuTensor.over(codes, 0, x.shape());
  }

  /** Leaves the panel's sums of products of codes in the thread's sums, rounded only there. */
  private void sumCodes(
      CpuPacked weight, int panel, CpuTensor x, int firstRow, int endRow, int thread) {
    int in = x.shape().dim(1);
    int rows = endRow - firstRow;
    int at = thread * ROWS * WIDTH;
    int end = at + rows * WIDTH;
    if (in > EXACT) {
      Arrays.fill(totals, at, end, 0);
    }
    for (int from = 0; from < in; from += DEPTH) {
      if (from % EXACT == 0) {
        Arrays.fill(sums, at, end, 0);
      }
      int depth = Math.min(DEPTH, in - from);
      LinearTile.add(
          rows,
          depth,
          x.floats(),
          x.at(firstRow) + from,
          x.stride(),
          weight.panels(),
          (panel * in + from) * WIDTH,
          sums,
          at);
      if (in > EXACT && ((from + depth) % EXACT == 0 || from + depth == in)) {
        for (int i = at; i < end; i++) {
          totals[i] += (int) sums[i];
        }
      }
    }
    for (int i = at; in > EXACT && i < end; i++) {
      sums[i] = totals[i];
    }
  }

  /** Multiplies the sums in the thread's sums by their scales and writes them to {@code out}. */
  private void scale(
      CpuPacked weight,
      int panel,
      float inputScale,
      CpuTensor out,
      int firstRow,
      int endRow,
      int thread) {
    int first = panel * WIDTH;
    int columns = Math.min(WIDTH, out.shape().dim(1) - first);
    float[] rowScales = weight.rowScales();
    for (int row = firstRow; row < endRow; row++) {
      int at = (thread * ROWS + row - firstRow) * WIDTH;
      for (int i = 0; i < WIDTH; i++) {
        sums[at + i] = sums[at + i] * rowScales[first + i] * inputScale;
      }
      int outAt = out.at(row) + first;
      if (out.dtype() == DType.I8) {
        Codes.even(sums, at, out.scales(), first, out.bytes(), outAt, columns);
      } else {
        System.arraycopy(sums, at, out.floats(), outAt, columns);
      }
    }
  }
}
