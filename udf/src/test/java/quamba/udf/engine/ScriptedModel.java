package quamba.udf.engine;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import quamba.udf.model.Model;
import quamba.udf.model.Sampling;
import quamba.udf.model.Step;

/**
 * A model whose next id is a function of all ids that the sequence has seen, and of nothing else:
 * an engine that loses, doubles or mixes up ids changes the text. Checks the shape of every step,
 * and is now and then done with one at once.
 */
final class ScriptedModel implements Model {
  static final int VOCAB = 26;

  private final int slots;
  private final int tokensPerStep;
  private final long[] histories;
  private final int[] seen;
  private final boolean[] started;
  private final Deque<int[]> underWay = new ArrayDeque<>(); // ids that steps chose
  private final Random random = new Random(1);
  private int[] chosenBefore = {};
  final List<Integer> rowsOfSteps = new ArrayList<>();
  volatile boolean ahead; // whether some step had an id that the one before was yet to choose
  volatile boolean mixed; // whether some step had both rows that are rounded and such that are not
  volatile long stepMillis;
  volatile boolean closed;
  volatile int failAtStep = -1;
  volatile CountDownLatch gate = new CountDownLatch(0);

  ScriptedModel(int slots, int tokensPerStep) {
    this.slots = slots;
    this.tokensPerStep = tokensPerStep;
    this.histories = new long[slots];
    this.seen = new int[slots];
    this.started = new boolean[slots];
  }

  static long advance(long history, int id) {
    return (history ^ (id + 1)) * 0x9E3779B97F4A7C15L;
  }

  static int next(long history) {
    return (int) Math.floorMod(history >>> 20, (long) VOCAB);
  }

  @Override
  public int slots() {
    return slots;
  }

  @Override
  public int tokensPerStep() {
    return tokensPerStep;
  }

  @Override
  public int vocab() {
    return VOCAB;
  }

  @Override
  public void start(int slot, Sampling sampling, long key) {
    started[slot] = true;
  }

  @Override
  public void begin(Step step) {
    require(underWay.size() < 2, "a third step");
    try {
      gate.await();
      Thread.sleep(stepMillis);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    if (rowsOfSteps.size() == failAtStep) {
      throw new IllegalArgumentException("scripted failure");
    }
    rowsOfSteps.add(step.rows());
    require(step.rows() > 0 && step.rows() <= slots, "rows " + step.rows());
    require(step.tokens() <= tokensPerStep, "tokens " + step.tokens());
    requireRoundedFirst(step);
    Set<Integer> once = new HashSet<>();
    int[] chosen = new int[step.sampledRows()];
    for (int row = 0; row < step.rows(); row++) {
      int slot = at(step.slots(), row);
      require(once.add(slot), "slot " + slot + " twice in a step");
      require(started[slot], "slot " + slot + " was never started");
      int position = at(step.positions(), row);
      if (position == 0) {
        histories[slot] = 0;
        seen[slot] = 0;
      }
      require(position == seen[slot], "position " + position + " after " + seen[slot]);
      for (int token = at(step.starts(), row); token < at(step.starts(), row + 1); token++) {
        histories[slot] = advance(histories[slot], id(step, token));
        seen[slot]++;
      }
      if (row < step.sampledRows()) {
        chosen[row] = next(histories[slot]);
        step.sampled().putInt(row * Integer.BYTES, Integer.MIN_VALUE); // not before await
      }
    }
    underWay.add(chosen);
    chosenBefore = chosen;
  }

  /** An id of the step, or that which the step before chose. */
  private int id(Step step, int token) {
    int id = at(step.ids(), token);
    if (id >= 0) {
      return id;
    }
    require(!underWay.isEmpty(), "an id of a step that is over");
    ahead = true;
    return chosenBefore[-1 - id];
  }

  @Override
  public boolean isDone() {
    require(!underWay.isEmpty(), "no step is under way");
    return random.nextInt(4) == 0;
  }

  @Override
  public void await(Step step) {
    int[] chosen = underWay.remove();
    require(chosen.length == step.sampledRows(), "another step was begun first");
    step.sampled().asIntBuffer().put(chosen);
  }

  /** Of the rows with one id to see, those whose states are rounded behind it. */
  private void requireRoundedFirst(Step step) {
    boolean others = false;
    for (int row = 0; row < Math.min(step.singleRows(), step.sampledRows()); row++) {
      boolean rounded = at(step.positions(), row) % 16 == 15;
      require(!(others && rounded), "a row that is rounded behind one that is not");
      others |= !rounded;
      mixed |= others && at(step.positions(), 0) % 16 == 15;
    }
  }

  private static int at(ByteBuffer ints, int index) {
    return ints.getInt(index * Integer.BYTES);
  }

  private static void require(boolean holds, String message) {
    if (!holds) {
      throw new IllegalStateException(message);
    }
  }

  @Override
  public void close() {
    closed = true;
  }
}
