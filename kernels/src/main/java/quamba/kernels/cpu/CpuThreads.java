package quamba.kernels.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed team of threads that runs the parts of one operation at a time; the caller is one of
 * them. Idle threads spin for a moment, since the next operation mostly follows at once, then park.
 *
 * <p>Parts are claimed by counting down {@code ticket}. A claim succeeds only if the ticket is
 * still the one that was read before {@code work} was, and work changes only while no part is left
 * to claim: so a late thread never runs a part of one operation with the work of another.
 */
final class CpuThreads implements AutoCloseable {
  /** What an operation does. */
  interface Work {
    /**
     * Computes one part.
     *
     * @param part 0 … parts − 1
     * @param thread 0 … count − 1, no two at once: the index of scratch memory
     */
    void run(int part, int thread);
  }

  /** Polls before parking: some tens of microseconds. */
  private static final int SPINS = 2000;

  private static final int COUNT_BITS = 32;
  private static final long COUNT_MASK = (1L << COUNT_BITS) - 1;

  private final Thread[] helpers;
  private final AtomicIntegerArray parked; // (helpers) 1 while a helper is parked or about to
  private final AtomicLong ticket = new AtomicLong(); // generation, parts not yet claimed
  private final AtomicInteger unfinished = new AtomicInteger();
  private final AtomicReference<Throwable> failure = new AtomicReference<>();
  private volatile Work work = (part, thread) -> {};
  private volatile Thread waiter;
  private volatile boolean closed;

  /** A team of {@code threads} threads, the caller of {@link #run} included. */
  CpuThreads(int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("at least 1 thread, found " + threads);
    }
    helpers = new Thread[threads - 1];
    parked = new AtomicIntegerArray(threads - 1);
    for (int i = 0; i < helpers.length; i++) {
      int index = i;
      helpers[i] = new Thread(() -> help(index), "quamba-cpu-" + (i + 1));
      helpers[i].setDaemon(true);
      helpers[i].start();
    }
  }

  /** Threads of the team. */
  int count() {
    return helpers.length + 1;
  }

  /**
   * Calls {@code newWork} once for each part 0 … parts − 1 and returns when all are done. Parts
   * must not depend on each other.
   */
  void run(int parts, Work newWork) {
    if (closed) {
      throw new IllegalStateException("the backend is closed");
    }
    if (parts <= 1 || helpers.length == 0) {
      for (int part = 0; part < parts; part++) {
        newWork.run(part, 0);
      }
      return;
    }
    work = newWork;
    unfinished.set(parts);
    long generation = (ticket.get() >>> COUNT_BITS) + 1;
    ticket.set(generation << COUNT_BITS | parts);
    int wanted = Math.min(parts - 1, helpers.length);
    for (int i = 0; i < helpers.length && wanted > 0; i++, wanted--) {
      if (parked.get(i) == 1) {
        LockSupport.unpark(helpers[i]);
      }
    }
    while (runOne(0)) {}
    await();
    Throwable thrown = failure.get();
    if (thrown != null) {
      failure.set(null);
      rethrow(thrown);
    }
  }

  /** Ends the helpers and waits for them. */
  @Override
  public void close() {
    closed = true;
    boolean interrupted = false;
    for (Thread helper : helpers) {
      LockSupport.unpark(helper);
      while (helper.isAlive()) {
        try {
          helper.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Claims and runs one part; false if none is left. */
  private boolean runOne(int thread) {
    while (true) {
      long seen = ticket.get();
      int left = (int) (seen & COUNT_MASK);
      if (left == 0) {
        return false;
      }
      Work current = work;
      if (ticket.compareAndSet(seen, seen - 1)) {
        try {
          current.run(left - 1, thread);
        } catch (RuntimeException | Error e) {
          failure.compareAndSet(null, e);
        }
        if (unfinished.decrementAndGet() == 0) {
          LockSupport.unpark(waiter);
        }
        return true;
      }
    }
  }

  private void await() {
    for (int spin = 0; unfinished.get() != 0 && spin < SPINS; spin++) {
      Thread.onSpinWait();
    }
    boolean interrupted = false;
    waiter = Thread.currentThread();
    while (unfinished.get() != 0) {
      LockSupport.park(this);
      interrupted |= Thread.interrupted(); // else park would return at once
    }
    waiter = null;
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void help(int index) {
    while (!closed) {
      int spin = 0;
      while (!runOne(index + 1) && spin < SPINS) {
        Thread.onSpinWait();
        spin++;
      }
      if (spin == SPINS) {
        parked.set(index, 1);
        if (!closed && (ticket.get() & COUNT_MASK) == 0) {
          LockSupport.park(this);
        }
        parked.set(index, 0);
      }
    }
  }

  private static void rethrow(Throwable thrown) {
    if (thrown instanceof Error error) {
      throw error;
    }
    throw (RuntimeException) thrown;
  }
}
