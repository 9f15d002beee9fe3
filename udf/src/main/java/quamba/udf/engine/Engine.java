package quamba.udf.engine;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.apache.arrow.memory.BufferAllocator;
import quamba.udf.model.Model;
import quamba.udf.tokenizer.Tokenizer;

/**
 * Continuous batching over the slots of one model. Any number of threads call {@link #complete};
 * one thread of the engine's own runs the model: every step it gives free slots to waiting
 * sequences, decodes all that run, fills the rest of the step with prompts, and lets finished
 * sequences go.
 *
 * <p>A place is a slot, or one of a few beside them (an eighth) whose prompt is tokenized and
 * waits, so that a slot is never idle while its caller fetches a row. Callers share places evenly.
 */
public final class Engine implements AutoCloseable {
  /** What a caller may do next. */
  enum Turn {
    /** A place is the caller's: pull a request. */
    PLACE,
    /** A result waits. */
    FINISHED,
    /** Every request has been answered. */
    OVER
  }

  /** Work done since the engine was opened: rows is summed over steps. */
  public record Load(long steps, long rows, long promptTokens, long generatedTokens) {}

  /**
   * Work from the first step that had every slot taken to the last such step.
   *
   * @param endMillis when that was over, since 1970; 0 if there was no such step
   */
  public record Full(long nanos, long promptTokens, long generatedTokens, long endMillis) {}

  private final Model model;
  private final Tokenizer tokenizer;
  private final int endOfText;
  private final BufferAllocator allocator;
  private final Slots slots; // the engine thread's own
  private final Thread thread;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition work = lock.newCondition();
  private final Condition turn = lock.newCondition();
  // Guarded by the lock.
  private final Deque<Sequence<?>> waiting = new ArrayDeque<>();
  private final Set<Completions<?>> callers = new HashSet<>();
  private final Set<Completions<?>> wanting = new HashSet<>();
  private int freePlaces;
  private boolean closed;
  private Throwable failure;
  private Load load = new Load(0, 0, 0, 0);
  private final Pace pace = new Pace();

  /**
   * Starts the engine's thread. The engine owns the model from here on; tokenizer and allocator
   * stay the caller's.
   *
   * @param endOfText the id that ends a generation, if the model has one
   */
  public Engine(
      Model model, Tokenizer tokenizer, OptionalInt endOfText, BufferAllocator allocator) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.endOfText = endOfText.orElse(-1);
    this.allocator = allocator;
    this.slots = new Slots(model, this.endOfText, allocator);
    this.freePlaces = model.slots() + Math.max(1, model.slots() / 8);
    thread = new Thread(this::run, "quamba-engine");
    thread.setDaemon(true);
    thread.setUncaughtExceptionHandler((engine, error) -> fail(error));
    thread.start();
  }

  /** The results of {@code requests}, which are pulled on the thread that asks for results. */
  public <T> Completions<T> complete(Iterator<Request<T>> requests) {
    Completions<T> caller = new Completions<>(this, requests);
    lock.lock();
    try {
      requireOpen();
      if (callers.isEmpty()) {
        pace.interrupt();
      }
      callers.add(caller);
    } finally {
      lock.unlock();
    }
    return caller;
  }

  /** Work done so far. */
  public Load load() {
    lock.lock();
    try {
      return load;
    } finally {
      lock.unlock();
    }
  }

  /** Work with every slot taken, of which each stretch is told once. */
  public Full takeFull() {
    lock.lock();
    try {
      return pace.take();
    } finally {
      lock.unlock();
    }
  }

  /** Whether the model threw: every caller fails, and only a new engine helps. */
  public boolean failed() {
    lock.lock();
    try {
      return failure != null;
    } finally {
      lock.unlock();
    }
  }

  // ---- on callers' threads

  Turn awaitTurn(Completions<?> caller) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (true) {
        requireOpen();
        if (!caller.finished.isEmpty()) {
          return Turn.FINISHED;
        }
        if (caller.exhausted && caller.held == 0) {
          return Turn.OVER;
        }
        if (!caller.exhausted && freePlaces > 0 && isNext(caller)) {
          freePlaces--;
          caller.held++;
          turn.signalAll();
          return Turn.PLACE;
        }
        wanting.add(caller);
        try {
          turn.await();
        } finally {
          wanting.remove(caller);
        }
      }
    } finally {
      lock.unlock();
    }
  }

  private boolean isNext(Completions<?> caller) {
    return wanting.stream().noneMatch(other -> !other.exhausted && other.held < caller.held);
  }

  <T> void submit(Completions<T> caller, Request.Prompt<T> prompt) {
    if (prompt.promptIds().remaining() == 0) {
      throw new IllegalArgumentException("a prompt of no ids");
    }
    Sequence<T> sequence = new Sequence<>(caller, prompt, allocator, tokenizer);
    lock.lock();
    try {
      waiting.add(sequence);
      work.signal();
    } finally {
      lock.unlock();
    }
  }

  void giveBack(Completions<?> caller) {
    lock.lock();
    try {
      release(caller);
    } finally {
      lock.unlock();
    }
  }

  void exhaust(Completions<?> caller) {
    lock.lock();
    try {
      caller.exhausted = true;
      release(caller);
    } finally {
      lock.unlock();
    }
  }

  <T> Completion<T> take(Completions<T> caller) {
    Sequence<T> sequence;
    lock.lock();
    try {
      sequence = caller.finished.remove();
    } finally {
      lock.unlock();
    }
    return sequence.complete(tokenizer, endOfText);
  }

  void withdraw(Completions<?> caller) {
    lock.lock();
    try {
      if (!callers.remove(caller)) {
        return;
      }
      caller.withdrawn = true;
      caller.finished.forEach(Sequence::close);
      caller.finished.clear();
      work.signal();
    } finally {
      lock.unlock();
    }
  }

  // ---- on the engine's thread

  private void run() {
    Slots.Flight flight = null;
    while (admit(flight != null)) {
      if (flight != null && model.isDone()) {
        retire(flight); // a step begun before that would only have rows that end now
        flight = null;
        continue;
      }
      Slots.Flight next = slots.isEmpty() ? null : slots.begin();
      if (flight != null) {
        retire(flight);
      }
      flight = next;
    }
    if (flight != null) {
      slots.take(flight).ended().forEach(Sequence::close);
    }
  }

  /**
   * Waits for work, unless a step is under way, and gives free slots away; false when the engine is
   * closed.
   */
  private boolean admit(boolean underWay) {
    lock.lock();
    try {
      while (true) {
        waiting.removeIf(this::dropIfWithdrawn);
        slots.removeIf(this::dropIfWithdrawn);
        while (!closed && slots.hasFree() && !waiting.isEmpty()) {
          slots.add(waiting.remove());
        }
        if (closed || underWay || !slots.isEmpty()) {
          return !closed;
        }
        work.awaitUninterruptibly();
      }
    } finally {
      lock.unlock();
    }
  }

  private boolean dropIfWithdrawn(Sequence<?> sequence) {
    if (sequence.owner().withdrawn) {
      sequence.drop();
      release(sequence.owner());
      return true;
    }
    return false;
  }

  /** Waits for a step and lets sequences go that end with it. */
  private void retire(Slots.Flight flight) {
    Slots.Taken taken = slots.take(flight);
    lock.lock();
    try {
      Load before = load;
      load =
          new Load(
              load.steps + 1,
              load.rows + flight.rows().size(),
              load.promptTokens + flight.vectors().promptTokens(),
              load.generatedTokens + taken.generated());
      if (flight.everySlotTaken()) {
        pace.full(taken.startNanos(), before, load);
      }
      for (Sequence<?> sequence : taken.ended()) {
        release(sequence.owner());
        sequence.deliver();
      }
    } finally {
      lock.unlock();
    }
  }

  // ---- on any thread, under the lock

  private void release(Completions<?> caller) {
    caller.held--;
    freePlaces++;
    turn.signalAll();
  }

  private void requireOpen() {
    if (failure != null) {
      throw new IllegalStateException("the engine failed: " + failure, failure);
    }
    if (closed) {
      throw new IllegalStateException("the engine is closed");
    }
  }

  private void fail(Throwable error) {
    lock.lock();
    try {
      failure = error;
      turn.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Stops the engine's thread, fails callers that still wait, closes the model. */
  @Override
  public void close() {
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
      work.signal();
      turn.signalAll();
    } finally {
      lock.unlock();
    }
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    List.copyOf(callers).forEach(this::withdraw);
    waiting.forEach(Sequence::close);
    slots.close();
    model.close();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
