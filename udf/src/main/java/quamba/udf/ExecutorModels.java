package quamba.udf;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;

/**
 * The models that this executor has opened. Tasks lease them; a model stays open between tasks and
 * is closed when the executor ends, or when nobody uses it and another one wants its device.
 */
final class ExecutorModels implements AutoCloseable {
  /**
   * The one static of the code base: Spark gives the tasks of an executor no other place to meet.
   * Filled and emptied by {@link ModelPlugin}.
   */
  private static final AtomicReference<ExecutorModels> OF_THIS_JVM = new AtomicReference<>();

  /** Arrow memory of all engines: their steps, and the ids of prompts under way. */
  private static final long MEMORY_BYTES = 1L << 30;

  /** What is kept open; closing it twice does not happen. */
  interface Opened extends AutoCloseable {
    /** Whether it is of no use any more, so that the next caller opens another. */
    boolean failed();

    @Override
    void close();
  }

  /**
   * What tells one opened model from another.
   *
   * @param kind what it is opened as
   * @param name says which weights, and how wide
   */
  record Key<T extends Opened>(Class<T> kind, String name, String device) {}

  /** Opens a model. */
  interface Opener<T extends Opened> {
    /**
     * Opens it.
     *
     * @param threads that compute, where the device is the processor
     * @param memory closed with the model
     */
    T open(int threads, BufferAllocator memory);
  }

  private final int threads;
  private final BufferAllocator memory = new RootAllocator(MEMORY_BYTES);
  private final Map<Key<?>, Entry> entries = new LinkedHashMap<>(); // guarded by this
  private boolean closed; // guarded by this

  /**
   * No models yet.
   *
   * @param threads for each model to compute with, where it does so on the processor
   */
  ExecutorModels(int threads) {
    this.threads = threads;
  }

  /** Of this executor, or of the driver where that runs the tasks. */
  static ExecutorModels ofThisJvm() {
    ExecutorModels models = OF_THIS_JVM.get();
    if (models == null) {
      throw new IllegalStateException(
          "no models in this executor: spark.plugins must name " + ModelPlugin.class.getName());
    }
    return models;
  }

  /** At the start of an executor. */
  static void start(ExecutorModels models) {
    OF_THIS_JVM.set(models);
  }

  /** At the end of an executor. */
  static void stop() {
    ExecutorModels models = OF_THIS_JVM.getAndSet(null);
    if (models != null) {
      models.close();
    }
  }

  /**
   * The model of this key. The first caller opens it and others wait for it; if that fails, all of
   * them fail, and the next caller tries again.
   */
  <T extends Opened> Lease<T> lease(Key<T> key, Opener<T> opener) {
    List<Entry> unused;
    Entry entry;
    boolean first;
    synchronized (this) {
      requireOpen();
      unused = retire(key);
      first = !entries.containsKey(key);
      entry = entries.computeIfAbsent(key, Entry::new);
      entry.leases++;
    }
    long start = System.nanoTime();
    if (first) {
      open(entry, opener, unused);
    } else {
      unused.forEach(Entry::close);
    }
    T model = key.kind().cast(await(entry));
    OptionalLong openMillis =
        first
            ? OptionalLong.of(TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start))
            : OptionalLong.empty();
    return new Lease<>(this, entry, model, openMillis);
  }

  /** Forgets failed models and idle ones on the key's device; those that can be closed. */
  private List<Entry> retire(Key<?> key) {
    List<Entry> unused = new ArrayList<>();
    for (Iterator<Entry> all = entries.values().iterator(); all.hasNext(); ) {
      Entry entry = all.next();
      boolean inTheWay =
          entry.leases == 0 && entry.key.device().equals(key.device()) && !entry.key.equals(key);
      if (inTheWay || entry.failed()) {
        all.remove();
        entry.retired = true;
        if (entry.leases == 0) {
          unused.add(entry);
        }
      }
    }
    return unused;
  }

  /** Opens a model when what is in its way is closed. Whatever is thrown meets all who wait. */
  private void open(Entry entry, Opener<?> opener, List<Entry> inTheWay) {
    try {
      inTheWay.forEach(Entry::close);
      entry.model.complete(open(entry.key, opener));
    } catch (Throwable e) { // Scala throws checked exceptions that no signature tells of
      synchronized (this) {
        entries.remove(entry.key, entry);
      }
      entry.model.completeExceptionally(e);
    }
  }

  private Opened open(Key<?> key, Opener<?> opener) {
    BufferAllocator own = memory.newChildAllocator(key.toString(), 0, MEMORY_BYTES);
    try {
      return opener.open(threads, own);
    } catch (Throwable e) {
      own.close();
      throw e;
    }
  }

  private Opened await(Entry entry) {
    try {
      return entry.model.get();
    } catch (InterruptedException e) {
      release(entry);
      Thread.currentThread().interrupt();
      throw new CancellationException("interrupted while waiting for the model");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      if (e.getCause() instanceof Error cause) {
        throw cause;
      }
      throw new IllegalStateException("the model was not opened: " + e.getCause(), e.getCause());
    }
  }

  private void release(Entry entry) {
    boolean last;
    synchronized (this) {
      entry.leases--;
      last = entry.retired && entry.leases == 0;
    }
    if (last) {
      entry.close();
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the executor ends");
    }
  }

  /** Closes every model; throws if one has lost memory. */
  @Override
  public void close() {
    List<Entry> all;
    synchronized (this) {
      closed = true;
      all = List.copyOf(entries.values());
      entries.clear();
    }
    all.forEach(Entry::close);
    memory.close();
  }

  /** A model that is open, or opening; fields guarded by the outer object. */
  private static final class Entry {
    private final Key<?> key;
    private final CompletableFuture<Opened> model = new CompletableFuture<>();
    private int leases;
    private boolean retired; // forgotten: the last lease closes it

    Entry(Key<?> key) {
      this.key = key;
    }

    boolean failed() {
      return model.isDone() && model.join().failed();
    }

    void close() {
      model
          .handle(
              (opened, failure) -> {
                if (opened != null) {
                  opened.close();
                }
                return opened;
              })
          .join();
    }
  }

  /** The right to use a model, until closed. */
  static final class Lease<T extends Opened> implements AutoCloseable {
    private final ExecutorModels owner;
    private final Entry entry;
    private final T model;
    private final OptionalLong openMillis;
    private final AtomicBoolean returned = new AtomicBoolean();

    private Lease(ExecutorModels owner, Entry entry, T model, OptionalLong openMillis) {
      this.owner = owner;
      this.entry = entry;
      this.model = model;
      this.openMillis = openMillis;
    }

    /** What opening the model took, if this lease did it. */
    OptionalLong openMillis() {
      return openMillis;
    }

    T model() {
      return model;
    }

    @Override
    public void close() {
      if (returned.compareAndSet(false, true)) {
        owner.release(entry);
      }
    }
  }
}
