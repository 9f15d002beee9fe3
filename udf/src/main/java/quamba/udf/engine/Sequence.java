package quamba.udf.engine;

import java.nio.ByteOrder;
import java.nio.IntBuffer;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.OutOfMemoryException;
import org.apache.arrow.vector.IntVector;
import quamba.kernels.ScanState;
import quamba.udf.model.Step;
import quamba.udf.tokenizer.Tokenizer;

/**
 * One request on its way through a slot: its ids in an Arrow vector, prompt first, then what was
 * generated. Written by the engine's thread while it runs; before and after by its task's thread.
 */
final class Sequence<T> {
  private final Completions<T> owner;
  private final Request.Prompt<T> request;
  private final IntVector ids; // (promptTokens + generated) i32
  private final StopText stop;
  private final int promptTokens;
  private int length;
  private int position; // ids that the model has been given
  private int coming; // ids that the model chooses in steps under way
  private int chosenBy; // in the last of those, the row
  private boolean over;
  private int slot;
  private long startNanos;
  private long endNanos;
  private Completion.Finish finish;
  private String shortage; // why its ids had no room, else null

  Sequence(
      Completions<T> owner,
      Request.Prompt<T> request,
      BufferAllocator allocator,
      Tokenizer tokenizer) {
    this.owner = owner;
    this.request = request;
    this.ids = new IntVector("ids", allocator);
    this.stop = StopText.of(request.limits().stop(), tokenizer);
    IntBuffer prompt = request.promptIds();
    this.promptTokens = prompt.remaining();
    try {
      ids.allocateNew(promptTokens + Math.min(request.limits().maxTokens(), promptTokens + 64));
    } catch (RuntimeException e) {
      ids.close();
      throw e;
    }
    for (int token = prompt.position(); token < prompt.limit(); token++) {
      ids.setSafe(length++, prompt.get(token));
    }
  }

  Completions<T> owner() {
    return owner;
  }

  Request.Prompt<T> request() {
    return request;
  }

  int slot() {
    return slot;
  }

  void start(int freeSlot) {
    slot = freeSlot;
    startNanos = System.nanoTime();
  }

  /** Ids that the model has yet to be given: one while decoding, many in prefill. */
  int unseen() {
    return length + coming - position;
  }

  /** Whether the state is rounded behind the next id. */
  boolean endsInterval() {
    return position % ScanState.INTERVAL == ScanState.INTERVAL - 1;
  }

  /** Whether ids have been generated: the prompt is behind it. */
  boolean decoding() {
    return length + coming > promptTokens;
  }

  /** Whether no further id counts: it has ended, or its caller has gone. */
  boolean over() {
    return over;
  }

  /** Hands the finished sequence to its caller, or drops it if the caller has gone. */
  void deliver() {
    if (owner.withdrawn) {
      close();
    } else {
      owner.finished.add(this);
    }
  }

  /**
   * Adds the next {@code count} unseen ids to a step; the next id is wanted when they are the last.
   */
  void addTo(Step step, int count) {
    if (count == 1 && unseen() == 1) {
      int id = position < length ? ids.get(position) : Step.chosen(chosenBy);
      step.addSampled(slot, position, id);
      position++;
      return;
    }
    IntBuffer next =
        ids.getDataBuffer()
            .nioBuffer((long) position * Integer.BYTES, count * Integer.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN)
            .asIntBuffer();
    if (count == unseen()) {
      step.addSampled(slot, position, next);
    } else {
      step.addPartial(slot, position, next);
    }
    position += count;
  }

  /**
   * A step was begun that chooses the sequence's next id for its row {@code row}.
   *
   * @return whether the generation ends with that id, whatever it is
   */
  boolean expect(int row) {
    chosenBy = row;
    coming++;
    return length + coming - promptTokens >= request.limits().maxTokens();
  }

  /**
   * Takes the id that the model chose; returns whether the generation ends with it, also if there
   * is no room for it.
   */
  boolean accept(int id, int endOfText) {
    coming--;
    try {
      ids.setSafe(length, id);
    } catch (OutOfMemoryException e) {
      shortage = e.getMessage();
      return end();
    }
    length++;
    if (id == endOfText || stop.append(id)) {
      finish = Completion.Finish.STOP;
    } else if (length - promptTokens >= request.limits().maxTokens()) {
      finish = Completion.Finish.LENGTH;
    } else {
      return false;
    }
    return end();
  }

  private boolean end() {
    over = true;
    endNanos = System.nanoTime();
    return true;
  }

  /** The result, decoded, or why there is none; gives the vector back. */
  Completion<T> complete(Tokenizer tokenizer, int endOfText) {
    int generated = length - promptTokens;
    if (shortage != null) {
      close();
      return new Completion.Failed<>(
          request.row(),
          RowError.outOfMemory(
              "no room for the ids of %d prompt and %d generated tokens: %s"
                  .formatted(promptTokens, generated + 1, shortage)));
    }
    boolean ended = generated > 0 && ids.get(length - 1) == endOfText;
    int[] textIds = new int[ended ? generated - 1 : generated];
    for (int token = 0; token < textIds.length; token++) {
      textIds[token] = ids.get(promptTokens + token);
    }
    close();
    return new Completion.Generated<>(
        request.row(),
        stop.cut(tokenizer.decode(textIds)),
        promptTokens,
        generated,
        finish,
        (endNanos - startNanos) / 1_000_000);
  }

  /** Gives the vector back, and takes no further id. */
  void drop() {
    over = true;
    close();
  }

  void close() {
    ids.close();
  }
}
