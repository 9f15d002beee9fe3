package quamba.udf.engine;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;
import org.apache.arrow.memory.OutOfMemoryException;

/**
 * The results of one caller's requests, in finishing order. Requests are pulled as places become
 * free, on the caller's thread, so memory is bounded by the engine's slots and not by the input.
 */
public final class Completions<T> implements Iterator<Completion<T>>, AutoCloseable {
  private final Engine engine;
  private final Iterator<Request<T>> requests;
  private Completion<T> next;
  private boolean over;
  private volatile long firstTokenMillis; // written by the engine's thread

  // Guarded by the engine's lock.
  final Deque<Sequence<T>> finished = new ArrayDeque<>();
  int held; // places taken and not yet given back
  boolean exhausted; // no further request
  boolean withdrawn;

  Completions(Engine engine, Iterator<Request<T>> requests) {
    this.engine = engine;
    this.requests = requests;
  }

  /**
   * Waits for the next result.
   *
   * @throws IllegalStateException if the engine failed or was closed; the cause is kept
   * @throws CancellationException if the thread is interrupted; its interrupt flag stays set
   */
  @Override
  public boolean hasNext() {
    if (next == null && !over) {
      next = advance();
      over = next == null;
    }
    return next != null;
  }

  @Override
  public Completion<T> next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    Completion<T> result = next;
    next = null;
    return result;
  }

  /** When the first token for any of the requests was there, since 1970; 0 if none is yet. */
  public long firstTokenMillis() {
    return firstTokenMillis;
  }

  void sampled() {
    if (firstTokenMillis == 0) {
      firstTokenMillis = System.currentTimeMillis();
    }
  }

  private Completion<T> advance() {
    while (true) {
      switch (await()) {
        case OVER -> {
          return null;
        }
        case FINISHED -> {
          return engine.take(this);
        }
        case PLACE -> {
          Completion<T> failed = pull();
          if (failed != null) {
            return failed;
          }
        }
      }
    }
  }

  /** Gives the next request to the engine, or returns what became of it at once. */
  private Completion<T> pull() {
    Request<T> request;
    try {
      if (!requests.hasNext()) {
        engine.exhaust(this);
        return null;
      }
      request = requests.next();
    } catch (Throwable e) { // Spark's rows also throw checked exceptions that are not declared
      engine.giveBack(this); // other callers wait for the place
      throw e;
    }
    if (request instanceof Request.Prompt<T> prompt) {
      return submit(prompt);
    }
    engine.giveBack(this);
    Request.Rejected<T> rejected = (Request.Rejected<T>) request;
    return new Completion.Failed<>(rejected.row(), rejected.error());
  }

  private Completion<T> submit(Request.Prompt<T> prompt) {
    try {
      engine.submit(this, prompt);
      return null;
    } catch (OutOfMemoryException e) {
      engine.giveBack(this);
      String message =
          "no room for the ids of %d prompt tokens: %s"
              .formatted(prompt.promptIds().remaining(), e.getMessage());
      return new Completion.Failed<>(prompt.row(), RowError.outOfMemory(message));
    } catch (Throwable e) {
      engine.giveBack(this);
      throw e;
    }
  }

  private Engine.Turn await() {
    try {
      return engine.awaitTurn(this);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancellationException("interrupted while waiting for the engine");
    }
  }

  /** Withdraws what is still under way. */
  @Override
  public void close() {
    over = true;
    next = null;
    engine.withdraw(this);
  }
}
