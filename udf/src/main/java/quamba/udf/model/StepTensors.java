package quamba.udf.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Readback;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/** A {@link Step} on the device, where one copy brings all of it. */
final class StepTensors {
  private final Backend backend;
  private final Tensor inputs; // i32: ids, slots, starts, positions, lasts, one after the other
  private final ByteBuffer hostInputs; // the same
  private final Tensor chosen; // (slots) i32
  private final Readback[] readbacks = new Readback[2]; // of chosen, for a step each
  private int first; // of these, the one that was asked for first
  private int underWay; // of these

  StepTensors(Backend backend, Capacity capacity) {
    this.backend = backend;
    int most = capacity.tokensPerStep() + 4 * capacity.slots() + 1;
    inputs = backend.allocate(DType.I32, Shape.of(most));
    hostInputs = ByteBuffer.allocateDirect(most * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    chosen = backend.allocate(DType.I32, Shape.of(capacity.slots()));
    Arrays.setAll(readbacks, i -> backend.readback(chosen));
  }

  /**
   * A step's inputs.
   *
   * @param ids (tokens) i32
   * @param lasts (sampledRows) i32, the token at which each sampled row ends
   */
  record Inputs(Batch batch, Tensor ids, Tensor lasts) {}

  /** Copies {@code step}; what is returned stays the same for steps of the same shape. */
  Inputs write(Step step) {
    int rows = step.rows();
    int tokens = step.tokens();
    int slots = tokens;
    int starts = slots + rows;
    int positions = starts + rows + 1;
    int lasts = positions + rows;
    int end = lasts + step.sampledRows();
    hostInputs.clear().put(step.ids()).put(step.slots()).put(step.starts()).put(step.positions());
    ByteBuffer ends = step.starts();
    for (int row = 0; row < step.sampledRows(); row++) {
      hostInputs.putInt(ends.getInt((row + 1) * Integer.BYTES) - 1);
    }
    backend.write(inputs.rows(0, end), hostInputs.flip());
    Batch batch =
        new Batch(
            rows,
            tokens,
            step.singleRows(),
            inputs.rows(slots, rows),
            inputs.rows(starts, rows + 1),
            inputs.rows(positions, rows));
    return new Inputs(batch, inputs.rows(0, tokens), inputs.rows(lasts, step.sampledRows()));
  }

  /** (slots) i32, the ids that were chosen last. */
  Tensor chosen() {
    return chosen;
  }

  /** Refuses a third step. */
  void requireFree() {
    if (underWay == readbacks.length) {
      throw new IllegalStateException("a third step, with two under way");
    }
  }

  /** Asks for the ids that were chosen. */
  void beginRead() {
    readbacks[(first + underWay) % readbacks.length].begin();
    underWay++;
  }

  /** The ids that were asked for first, of those not taken yet. */
  private Readback first() {
    if (underWay == 0) {
      throw new IllegalStateException("no step is under way");
    }
    return readbacks[first];
  }

  /** Whether the ids that were asked for first have arrived. */
  boolean hasRead() {
    return first().isDone();
  }

  /** Waits for the ids that were asked for first. */
  void awaitRead(Step step) {
    first().await(step.sampled());
    first = (first + 1) % readbacks.length;
    underWay--;
  }

  /** Room for the ids that are chosen for the sampled rows: (sampledRows) i32. */
  Tensor chosen(Step step) {
    return chosen.rows(0, step.sampledRows());
  }
}
