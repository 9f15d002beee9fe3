package quamba.udf.quantizer;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Some rows of a weight beside each other, laid out as (columns, {@link #LANES}): a lane is a row.
 * Lanes past the last row are zero.
 */
final class RowTile {
  static final int LANES = 128;

  private final int first;
  private final int rows;
  private final float[] values;

  private RowTile(int first, int rows, float[] values) {
    this.first = first;
    this.rows = rows;
    this.values = values;
  }

  /** What to do with the rows of a tile. */
  interface Work {
    void run(int first, int rows);
  }

  /** Rows of {@code weight} from {@code first} on, columns in the order {@code columns}. */
  static RowTile of(Matrix weight, int first, int[] columns) {
    int rows = Math.min(LANES, weight.out() - first);
    float[] values = new float[columns.length * LANES];
    for (int lane = 0; lane < rows; lane++) {
      int row = (first + lane) * weight.in();
      for (int i = 0; i < columns.length; i++) {
        values[i * LANES + lane] = weight.values()[row + columns[i]];
      }
    }
    return new RowTile(first, rows, values);
  }

  /** The row of lane 0. */
  int first() {
    return first;
  }

  /** Lanes that are rows. */
  int rows() {
    return rows;
  }

  /** (columns, LANES). */
  float[] values() {
    return values;
  }

  /** Runs {@code work} on all tiles of {@code out} rows, by {@code threads} threads. */
  static void forEach(int out, int threads, Work work) {
    List<Runnable> tiles = new ArrayList<>();
    for (int first = 0; first < out; first += LANES) {
      int from = first;
      tiles.add(() -> work.run(from, Math.min(LANES, out - from)));
    }
    runAll(tiles, threads);
  }

  /** Runs independent pieces of work by {@code threads} threads and waits for all. */
  static void runAll(List<Runnable> pieces, int threads) {
    if (threads == 1 || pieces.size() == 1) {
      pieces.forEach(Runnable::run);
      return;
    }
    ExecutorService team = Executors.newFixedThreadPool(Math.min(threads, pieces.size()));
    try {
      List<Future<?>> running = new ArrayList<>();
      pieces.forEach(piece -> running.add(team.submit(piece)));
      for (Future<?> piece : running) {
        piece.get();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while rounding", e);
    } catch (ExecutionException e) {
      throw new IllegalStateException("rounding failed: " + e.getCause(), e.getCause());
    } finally {
      team.shutdownNow();
    }
  }
}
