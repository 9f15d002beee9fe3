package quamba.udf.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/** A {@link Step} on the device. */
final class StepTensors {
  private final Backend backend;
  private final Tensor ids; // (tokensPerStep) i32
  private final Tensor slots; // (slots) i32
  private final Tensor starts; // (slots + 1) i32
  private final Tensor positions; // (slots) i32
  private final Tensor lasts; // (slots) i32, the token at which each sampled row ends
  private final Tensor chosen; // (slots) i32
  private final ByteBuffer hostLasts; // (slots) i32

  StepTensors(Backend backend, Capacity capacity) {
    this.backend = backend;
    ids = ints(capacity.tokensPerStep());
    slots = ints(capacity.slots());
    starts = ints(capacity.slots() + 1);
    positions = ints(capacity.slots());
    lasts = ints(capacity.slots());
    chosen = ints(capacity.slots());
    hostLasts =
        ByteBuffer.allocateDirect(capacity.slots() * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
  }

  private Tensor ints(int count) {
    return backend.allocate(DType.I32, Shape.of(count));
  }

  /** Copies the rows of {@code step}. */
  Batch write(Step step) {
    int rows = step.rows();
    Batch batch =
        new Batch(
            rows,
            step.tokens(),
            step.singleRows(),
            slots.rows(0, rows),
            starts.rows(0, rows + 1),
            positions.rows(0, rows));
    backend.write(ids(batch), step.ids());
    backend.write(batch.slots(), step.slots());
    backend.write(batch.starts(), step.starts());
    backend.write(batch.positions(), step.positions());
    return batch;
  }

  /** (tokens) i32. */
  Tensor ids(Batch batch) {
    return ids.rows(0, batch.tokens());
  }

  /** Copies where the sampled rows of {@code step} end: (sampledRows) i32. */
  Tensor writeLasts(Step step) {
    ByteBuffer ends = step.starts().order(ByteOrder.LITTLE_ENDIAN);
    int count = step.sampledRows();
    for (int row = 0; row < count; row++) {
      int end = ends.getInt((row + 1) * Integer.BYTES);
      hostLasts.putInt(row * Integer.BYTES, end - 1);
    }
    Tensor target = lasts.rows(0, count);
    backend.write(target, hostLasts.slice(0, count * Integer.BYTES));
    return target;
  }

  /** Room for the ids that are chosen for the sampled rows: (sampledRows) i32. */
  Tensor chosen(Step step) {
    return chosen.rows(0, step.sampledRows());
  }
}
