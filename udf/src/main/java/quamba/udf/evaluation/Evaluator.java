package quamba.udf.evaluation;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.ReentrantLock;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.Step;

/**
 * Runs texts through a model, and through a reference side by side with it, and scores them. Texts
 * fill steps one after the other, cut where a step is full. Callers take turns: the models' threads
 * and those that score are never busy at the same time.
 */
public final class Evaluator implements AutoCloseable {
  /** Texts in a step, and tokens whose logits a model hands over at once. */
  private static final int SLOTS = 16;

  /** Beyond which a processor gains nothing. */
  private static final int STEP_TOKENS_MAX = 256;

  /** Of a step's logits, which are kept for the reference. */
  private static final int LOGITS_BYTES = 8 << 20;

  private final MambaModel model;
  private final Optional<MambaModel> reference;
  private final Step step;
  private final List<Distribution> found = new ArrayList<>(); // one a thread
  private final List<Distribution> expected = new ArrayList<>(); // one a thread
  private final FloatBuffer kept; // (tokensPerStep, vocab) logits of the reference
  private final ExecutorService threads;
  private final ReentrantLock turn = new ReentrantLock(true);
  private volatile boolean failed;

  /** A token of a step, and where it is in its text. */
  private record Place(Positions positions, int index) {
    boolean isScored() {
      return positions.scoresAfter(index);
    }
  }

  /** What a model that is to be evaluated is opened for. */
  public static Capacity capacity(int vocab) {
    int most = LOGITS_BYTES / Float.BYTES / vocab;
    return new Capacity(SLOTS, Math.max(SLOTS, Math.min(STEP_TOKENS_MAX, most)));
  }

  /**
   * Of models that the evaluator owns from here on, each opened for {@link #capacity} and the same
   * ids.
   *
   * @param threadCount threads that score
   */
  public Evaluator(MambaModel model, Optional<MambaModel> reference, int threadCount) {
    this.model = model;
    this.reference = reference;
    int vocab = model.vocab();
    step = Step.allocate(model.slots(), model.tokensPerStep());
    for (int thread = 0; thread < threadCount; thread++) {
      found.add(new Distribution(vocab));
      expected.add(new Distribution(vocab));
    }
    kept = FloatBuffer.allocate(reference.isPresent() ? model.tokensPerStep() * vocab : 0);
    threads =
        Executors.newFixedThreadPool(
            threadCount,
            work -> {
              Thread thread = new Thread(work, "quamba-score");
              thread.setDaemon(true);
              return thread;
            });
  }

  /** Scores of texts, in their order; waits while others are at it. */
  public List<Score> score(List<Text> texts) {
    try {
      turn.lockInterruptibly();
    } catch (InterruptedException e) {
      throw interrupted();
    }
    try {
      return run(texts.stream().map(Positions::new).toList());
    } catch (CancellationException e) {
      throw e;
    } catch (RuntimeException | Error e) {
      failed = true;
      throw e;
    } finally {
      turn.unlock();
    }
  }

  /** Whether a model threw. */
  public boolean failed() {
    return failed;
  }

  private List<Score> run(List<Positions> texts) {
    int next = 0;
    int seen = 0; // of the next text
    while (next < texts.size()) {
      step.clear();
      List<Place> places = new ArrayList<>();
      while (next < texts.size() && step.room() > 0 && step.rows() < model.slots()) {
        Positions text = texts.get(next);
        int count = Math.min(step.room(), text.seen() - seen);
        step.addPartial(next % model.slots(), seen, IntBuffer.wrap(text.ids(), seen, count));
        for (int index = seen; index < seen + count; index++) {
          places.add(new Place(text, index));
        }
        seen += count;
        if (seen == text.seen()) {
          next++;
          seen = 0;
        }
      }
      runStep(places);
    }
    return texts.stream()
        .map(text -> reference.isPresent() ? text.comparedScore() : text.score())
        .toList();
  }

  private void runStep(List<Place> places) {
    int vocab = model.vocab();
    reference.ifPresent(
        other ->
            other.logits(
                step,
                (first, count, logits) -> {
                  int width = other.logitsWidth();
                  for (int token = 0; token < count; token++) {
                    kept.put((first + token) * vocab, logits, token * width, vocab);
                  }
                }));
    model.logits(
        step, (first, count, logits) -> share(places.subList(first, first + count), first, logits));
  }

  /** Scores the tokens of a piece, every thread a share of them. */
  private void share(List<Place> places, int first, FloatBuffer logits) {
    List<Callable<Void>> shares = new ArrayList<>();
    int count = found.size();
    for (int thread = 0; thread < Math.min(count, places.size()); thread++) {
      int start = thread;
      shares.add(
          () -> {
            for (int token = start; token < places.size(); token += count) {
              if (places.get(token).isScored()) {
                score(places.get(token), start, logits, token, first + token);
              }
            }
            return null;
          });
    }
    boolean interrupted = false;
    for (Future<?> share : shares.stream().map(threads::submit).toList()) {
      interrupted |= finish(share);
    }
    if (interrupted) {
      throw interrupted();
    }
  }

  /**
   * Waits for a share to its end, as the next caller's would use the same memory.
   *
   * @return whether the thread was interrupted meanwhile
   */
  static boolean finish(Future<?> share) {
    boolean interrupted = false;
    while (true) {
      try {
        share.get();
        return interrupted;
      } catch (InterruptedException e) {
        interrupted = true;
      } catch (ExecutionException e) {
        throw new IllegalStateException("scoring failed", e);
      }
    }
  }

  private void score(Place place, int thread, FloatBuffer logits, int token, int stepToken) {
    Distribution mine = found.get(thread);
    mine.read(logits, token * model.logitsWidth());
    place.positions().add(place.index(), mine);
    if (reference.isPresent()) {
      Distribution other = expected.get(thread);
      other.read(kept, stepToken * model.vocab());
      place.positions().compare(place.index(), mine, other);
    }
  }

  private static CancellationException interrupted() {
    Thread.currentThread().interrupt();
    return new CancellationException("interrupted while scoring");
  }

  /** Closes the models. */
  @Override
  public void close() {
    threads.shutdownNow();
    model.close();
    reference.ifPresent(MambaModel::close);
  }
}
