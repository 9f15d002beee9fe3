package quamba.udf.benchmark;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.SplittableRandom;
import quamba.udf.model.MambaModel;
import quamba.udf.model.Sampling;
import quamba.udf.model.Step;

/**
 * Drives a model as the engine does, with ids instead of texts; decoding, a step begins before the
 * ids are known that the one before chooses.
 */
final class EngineDriver {
  private static final int PHASES = 16; // of the rounding of states

  private final MambaModel model;
  private final Step step; // of prompts
  private Flight last; // the decoding step begun last
  private Flight next;
  private final int[] ids; // (slots), the next of each row
  private final int[] positions; // (slots) of those
  private int underWay; // rows of the step under way, 0 if there is none
  private final SplittableRandom random;

  /** A decoding step. */
  private static final class Flight {
    private final Step step;
    private final int[] order; // (slots), rows as the step has them

    Flight(int slots) {
      step = Step.allocate(slots, slots);
      order = new int[slots];
    }
  }

  EngineDriver(MambaModel model, long seed) {
    this.model = model;
    step = Step.allocate(model.slots(), model.tokensPerStep());
    last = new Flight(model.slots());
    next = new Flight(model.slots());
    ids = new int[model.slots()];
    positions = new int[model.slots()];
    random = new SplittableRandom(seed);
  }

  /** Rows from slot 0 on choose their ids so from now on. */
  void choose(int rows, Sampling sampling) {
    for (int row = 0; row < rows; row++) {
      model.start(row, sampling, row);
    }
  }

  /** Random prompts of these lengths. */
  int[][] prompts(int... lengths) {
    return Arrays.stream(lengths)
        .mapToObj(length -> random.ints(length, 0, model.vocab()).toArray())
        .toArray(int[][]::new);
  }

  /** Short prompts whose ends are spread over the tokens at which states are rounded. */
  int[][] spreadPrompts(int rows) {
    int[] lengths = new int[rows];
    Arrays.setAll(lengths, row -> PHASES + row % PHASES);
    return prompts(lengths);
  }

  /** Reads prompts from position 0 on, in as few steps as they fit. */
  void read(int[]... prompts) {
    int[] seen = new int[prompts.length];
    int first = 0;
    while (first < prompts.length) {
      step.clear();
      int row = first;
      while (row < prompts.length && step.room() > 0) {
        int count = Math.min(prompts[row].length - seen[row], step.room());
        IntBuffer part = IntBuffer.wrap(prompts[row], seen[row], count);
        int position = seen[row];
        seen[row] += count;
        if (seen[row] < prompts[row].length) {
          step.addPartial(row, position, part);
          break;
        }
        step.addSampled(row, position, part);
        positions[row] = prompts[row].length;
        row++;
      }
      model.step(step);
      take(first, row);
      first = row;
    }
  }

  /**
   * Begins one more token of the first rows, those whose states are rounded first, as in the
   * engine; then waits for the one before.
   *
   * @param rows the same until {@link #finish}
   */
  void decode(int rows) {
    next.step.clear();
    int count = 0;
    for (boolean rounded : new boolean[] {true, false}) {
      for (int row = 0; row < rows; row++) {
        if ((positions[row] % PHASES == PHASES - 1) == rounded) {
          next.step.addSampled(row, positions[row], ids[row]);
          next.order[count++] = row;
        }
      }
    }
    model.begin(next.step);
    finish();
    for (int i = 0; i < rows; i++) {
      ids[next.order[i]] = Step.chosen(i);
      positions[i]++;
    }
    Flight begun = next;
    next = last;
    last = begun;
    underWay = rows;
  }

  /** Waits for the step under way, if there is one. */
  void finish() {
    if (underWay > 0) {
      model.await(last.step);
      for (int i = 0; i < underWay; i++) {
        ids[last.order[i]] = last.step.sampled(i);
      }
      underWay = 0;
    }
  }

  private void take(int first, int end) {
    for (int row = first; row < end; row++) {
      ids[row] = step.sampled(row - first);
    }
  }

  /** How many different ids the first rows have now. */
  long distinct(int rows) {
    return Arrays.stream(ids, 0, rows).distinct().count();
  }

  /**
   * The span of a prompt's logits.
   *
   * @return least and most
   * @throws IllegalStateException if one is not finite, or all are equal
   */
  double[] logits(int... prompt) {
    step.clear();
    step.addPartial(0, 0, IntBuffer.wrap(prompt));
    double[] span = {Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY};
    int width = model.logitsWidth();
    model.logits(
        step,
        (first, count, logits) -> {
          for (int token = 0; token < count; token++) {
            widen(span, logits, token * width);
          }
        });
    if (!(span[0] < span[1])) {
      throw new IllegalStateException("all logits are " + span[0]);
    }
    return span;
  }

  private void widen(double[] span, FloatBuffer logits, int at) {
    for (int id = 0; id < model.vocab(); id++) {
      float value = logits.get(at + id);
      if (!Float.isFinite(value)) {
        throw new IllegalStateException("the logit of id %d is %s".formatted(id, value));
      }
      span[0] = Math.min(span[0], value);
      span[1] = Math.max(span[1], value);
    }
  }
}
