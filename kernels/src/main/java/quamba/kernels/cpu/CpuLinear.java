package quamba.kernels.cpu;

import java.util.Arrays;
import quamba.kernels.Linear;

/**
 * Matrix product with a packed weight. A part is some panels by some rows; within it each piece of
 * a panel, small enough for the caches, meets all rows before the next piece is read. Every output
 * is summed over its inputs from first to last, whatever the cut.
 */
final class CpuLinear {
  private static final int WIDTH = CpuPacked.WIDTH;

  /** Inputs of one piece of a panel: 64 KiB with 16 lanes. */
  private static final int DEPTH = 512;

  /** Rows of one part: with DEPTH inputs each they stay in the second-level cache. */
  private static final int ROWS = 128;

  /** Multiply-adds of one part, about: some ten microseconds. */
  private static final long PART = 400_000;

  private final CpuThreads threads;
  private final float[] sums; // (threads, ROWS, WIDTH): near, where rows of out may be far apart

  CpuLinear(CpuThreads threads) {
    this.threads = threads;
    this.sums = new float[threads.count() * ROWS * WIDTH];
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
    threads.run(
        rowParts * panelParts,
        (part, thread) -> {
          int firstRow = part / panelParts * rowsPerPart;
          int endRow = Math.min(rows, firstRow + rowsPerPart);
          int firstPanel = part % panelParts * panelsPerPart;
          int endPanel = Math.min(panels, firstPanel + panelsPerPart);
          for (int panel = firstPanel; panel < endPanel; panel++) {
            panel(weight, panel, x, out, firstRow, endRow, thread);
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
}
