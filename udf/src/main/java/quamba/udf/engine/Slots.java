package quamba.udf.engine;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.arrow.memory.BufferAllocator;
import quamba.udf.model.Model;
import quamba.udf.model.Step;

/**
 * The slots of a model, the sequences in them, and the steps that the model has begun with them: at
 * most two, so that a device has no pause between steps. The second does not know the ids that the
 * first chooses. A sequence that ends with such an id, though its length did not say so, is in one
 * step too many, whose id is dropped. One thread's own.
 */
final class Slots implements AutoCloseable {
  private final Model model;
  private final int endOfText;
  private final List<Sequence<?>> running = new ArrayList<>();
  private final Set<Sequence<?>> leaving = new HashSet<>(); // end with a step under way
  private final Deque<Integer> free = new ArrayDeque<>();
  private StepVectors next;
  private StepVectors afterNext;
  private long takenNanos;

  /** A step that the model has begun. */
  record Flight(
      StepVectors vectors, List<Sequence<?>> rows, boolean everySlotTaken, long startNanos) {}

  /**
   * What a step did.
   *
   * @param ended the sequences that ended with it
   * @param generated ids that it chose, but for those that were dropped
   * @param startNanos when it began, and the step before was over
   */
  record Taken(List<Sequence<?>> ended, int generated, long startNanos) {}

  Slots(Model model, int endOfText, BufferAllocator allocator) {
    this.model = model;
    this.endOfText = endOfText;
    for (int slot = 0; slot < model.slots(); slot++) {
      free.add(slot);
    }
    next = new StepVectors(allocator, model.slots(), model.tokensPerStep());
    afterNext = new StepVectors(allocator, model.slots(), model.tokensPerStep());
  }

  boolean hasFree() {
    return !free.isEmpty();
  }

  /** Whether no sequence would be in a step that began now. */
  boolean isEmpty() {
    return running.isEmpty();
  }

  /** Gives a free slot away. */
  void add(Sequence<?> sequence) {
    Request.Prompt<?> prompt = sequence.request();
    sequence.start(free.remove());
    running.add(sequence);
    model.start(sequence.slot(), prompt.sampling(), prompt.key());
  }

  /** Lets sequences go that {@code dropped} has dropped, as it says. */
  void removeIf(Predicate<Sequence<?>> dropped) {
    running.removeIf(
        sequence -> {
          boolean gone = dropped.test(sequence);
          if (gone) {
            free.add(sequence.slot());
          }
          return gone;
        });
  }

  /**
   * Begins a step of all that run. Sequences that end with it, whatever it chooses, leave their
   * slots to the next.
   */
  Flight begin() {
    boolean everySlotTaken = running.size() == model.slots();
    Flight flight = new Flight(next, next.fill(running), everySlotTaken, System.nanoTime());
    next = afterNext;
    afterNext = flight.vectors();
    Step step = flight.vectors().step();
    model.begin(step);
    for (int row = 0; row < step.sampledRows(); row++) {
      Sequence<?> sequence = flight.rows().get(row);
      if (sequence.expect(row)) {
        leaving.add(sequence);
        free.add(sequence.slot());
      }
    }
    running.removeAll(leaving);
    return flight;
  }

  /** Waits for the step that was begun first, and takes its ids. */
  Taken take(Flight flight) {
    Step step = flight.vectors().step();
    model.await(step);
    int generated = 0;
    List<Sequence<?>> ended = new ArrayList<>();
    for (int row = 0; row < step.sampledRows(); row++) {
      Sequence<?> sequence = flight.rows().get(row);
      if (!sequence.over()) {
        generated++;
        sequence.owner().sampled();
        if (sequence.accept(step.sampled(row), endOfText)) {
          ended.add(sequence);
        }
      }
    }
    for (Sequence<?> sequence : ended) {
      if (!leaving.remove(sequence)) { // else its slot is another's already
        running.remove(sequence);
        free.add(sequence.slot());
      }
    }
    long startNanos = Math.max(flight.startNanos(), takenNanos);
    takenNanos = System.nanoTime();
    return new Taken(ended, generated, startNanos);
  }

  /** Drops all sequences. */
  @Override
  public void close() {
    running.forEach(Sequence::close);
    leaving.forEach(Sequence::close);
    next.close();
    afterNext.close();
  }
}
