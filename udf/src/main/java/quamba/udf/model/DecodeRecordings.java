package quamba.udf.model;

import java.util.LinkedHashMap;
import java.util.Map;
import quamba.kernels.Backend;
import quamba.kernels.Recording;

/**
 * Decoding steps of so many rows, which differ in nothing but what lies in their tensors: recorded
 * when two of the same follow each other, as most do while every slot is taken.
 */
final class DecodeRecordings implements AutoCloseable {
  /** Numbers of rows that are kept, those used last. */
  private static final int MOST = 8;

  private final Backend backend;
  private final Map<Integer, Recording> recordings = new LinkedHashMap<>(MOST, 0.75f, true);
  private int before; // rows of the step before

  DecodeRecordings(Backend backend) {
    this.backend = backend;
  }

  /**
   * Runs a step.
   *
   * @param operations the same for every step of {@code rows}, and without copies
   */
  void run(int rows, Runnable operations) {
    Recording recording = recordings.get(rows);
    if (recording != null) {
      recording.run();
    } else if (rows == before) {
      forgetOldest();
      recording = backend.record(operations);
      recordings.put(rows, recording);
      recording.run();
    } else {
      operations.run();
    }
    before = rows;
  }

  private void forgetOldest() {
    if (recordings.size() == MOST) {
      int oldest = recordings.keySet().iterator().next();
      recordings.remove(oldest).close();
    }
  }

  /** Forgets all recordings. */
  @Override
  public void close() {
    recordings.values().forEach(Recording::close);
    recordings.clear();
  }
}
