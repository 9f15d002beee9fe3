package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Oracle.SampleOptions;

/** Behaviour of sample. */
interface SampleContract {
  Probe probe();

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 15, 16, 17, 100, 1000})
  default void greedyTakesTheHighestLogitAndOfEqualOnesTheLowestId(int vocab) {
    for (int best = 0; best < vocab; best += Math.max(1, vocab / 7)) {
      float[] logits = Probe.random(best, vocab);
      logits[best] = 2;
      logits[vocab - 1] = 2;
      assertEquals(best, choose(logits, SampleOptions.GREEDY, vocab));
    }
    assertEquals(0, choose(new float[vocab], SampleOptions.GREEDY, vocab));
  }

  @ParameterizedTest
  @CsvSource({
    "1, 0, 1, 0, 1",
    "0.5, 0, 1, 0, 1",
    "3, 0, 1, 0, 1",
    "1, 1, 1, 0, 1",
    "1, 5, 1, 0, 1",
    "1, 500, 1, 0, 1",
    "1, 0, 0.5, 0, 1",
    "1, 0, 0.95, 0, 1",
    "1, 0, 0, 0, 1",
    "1, 0, 1, 0.1, 1",
    "1, 0, 1, 1, 1",
    "1, 0, 1, 0, 1.5",
    "1, 0, 1, 0, 0.5",
    "0.8, 40, 0.9, 0.02, 1.2",
    "0, 0, 1, 0, 2"
  })
  default void aRowTakesTheIdAtItsRandomNumber(
      float temperature, int topK, float topP, float minP, float penalty) {
    SampleOptions options = new SampleOptions(temperature, topK, topP, minP, penalty);
    for (int vocab : new int[] {37, 300, 3000}) {
      Table table = new Table(probe(), 1, vocab, options);
      int[] prompt = {3, 9, 27, 3};
      boolean[] seen = new boolean[vocab];
      for (int id : prompt) {
        seen[id] = true;
      }
      for (int round = 0; round < 20; round++) {
        float[] logits = Probe.random(100 + round, vocab, 6);
        table.key(0, 5 + round, 7, 11, 13L * round);
        int actual = table.run(probe().row(0, 4, 0), prompt, logits)[0];
        double[] distribution = Oracle.distribution(logits, seen, options);
        double uniform = uniform(5 + round, 7, 11, 13L * round, 4);
        int expected = Oracle.choose(distribution, uniform);
        // A sum within rounding of the random number may fall to the neighbour.
        double below = sum(distribution, actual);
        boolean borders = below - 1e-5 <= uniform && uniform <= below + distribution[actual] + 1e-5;
        assertTrue(
            actual == expected || (borders && distribution[actual] > 0),
            "vocab %d round %d: expected %d, found %d".formatted(vocab, round, expected, actual));
      }
    }
  }

  @Test
  default void theOracleKnowsPhilox() {
    // Known answers of philox4x32-10 from the authors' Random123 distribution.
    long ones = 0xFFFFFFFFL;
    assertArrayEquals(
        new long[] {0x6627e8d5L, 0xe169c58dL, 0xbc57ac4cL, 0x9b00dbd8L},
        Oracle.philox(new long[4], new long[2]));
    assertArrayEquals(
        new long[] {0x408f276dL, 0x41c83b0eL, 0xa20bc7c6L, 0x6d5451fdL},
        Oracle.philox(new long[] {ones, ones, ones, ones}, new long[] {ones, ones}));
    assertArrayEquals(
        new long[] {0xd16cfe09L, 0x94fdccebL, 0x5001e420L, 0x24126ea1L},
        Oracle.philox(
            new long[] {0x243f6a88L, 0x85a308d3L, 0x13198a2eL, 0x03707344L},
            new long[] {0xa4093822L, 0x299f31d0L}));
  }

  @Test
  default void idsComeAsOftenAsTheirProbabilitySays() {
    int vocab = 12;
    float[] logits = Probe.random(60, vocab, 2);
    SampleOptions options = new SampleOptions(0.7f, 8, 0.95f, 0, 1);
    double[] distribution = Oracle.distribution(logits, new boolean[vocab], options);
    int rows = 64;
    Table table = new Table(probe(), rows, vocab, options);
    int[] slots = new int[rows];
    int[] ones = new int[rows];
    float[] all = new float[rows * vocab];
    for (int row = 0; row < rows; row++) {
      slots[row] = row;
      ones[row] = 1;
      table.key(row, 99, 1, row, 0);
      System.arraycopy(logits, 0, all, row * vocab, vocab);
    }
    int[] counts = new int[vocab];
    int draws = 0;
    for (int position = 0; position < 200; position++) {
      int[] positions = new int[rows];
      Arrays.fill(positions, position);
      for (int id : table.run(probe().batch(slots, ones, positions), new int[rows], all)) {
        counts[id]++;
        draws++;
      }
    }
    double chiSquare = 0;
    int kinds = 0;
    for (int id = 0; id < vocab; id++) {
      double expected = distribution[id] * draws;
      if (expected == 0) {
        assertEquals(0, counts[id], "id " + id + " was cut");
      } else {
        chiSquare += (counts[id] - expected) * (counts[id] - expected) / expected;
        kinds++;
      }
    }
    // Mean kinds − 1, variance twice that; five deviations, and the seed is fixed.
    assertTrue(chiSquare < kinds - 1 + 5 * Math.sqrt(2.0 * (kinds - 1)), "chi² " + chiSquare);
  }

  @Test
  default void cutsKeepTheLowerOfEqualIds() {
    float[] logits = {0, 1, 1, 1, 1, 0, -0f, 0};
    for (int round = 0; round < 30; round++) {
      int byCount = choose(logits, new SampleOptions(1, 2, 1, 0, 1), 8, round);
      assertTrue(byCount == 1 || byCount == 2, "top-k chose " + byCount);
      int byShare = choose(logits, new SampleOptions(1, 4, 0.75f, 0, 1), 8, round);
      assertTrue(byShare >= 1 && byShare <= 3, "top-p chose " + byShare);
      int byWeight = choose(logits, new SampleOptions(1, 0, 1, 0.9f, 1), 8, round);
      assertTrue(byWeight >= 1 && byWeight <= 4, "min-p chose " + byWeight);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {100, 2000, 5000, 40_000})
  default void cutsKeepTheFirstOfManyEqualIds(int vocab) {
    float[] logits = new float[vocab];
    Arrays.fill(logits, -7.5f);
    for (int round = 0; round < 10; round++) {
      int byCount = choose(logits, new SampleOptions(1, 40, 1, 0, 1), vocab, round);
      assertTrue(byCount < 40, "top-k chose " + byCount);
      int byShare = choose(logits, new SampleOptions(1, 0, 0.75f, 0, 1), vocab, round);
      assertTrue(byShare < vocab / 4 * 3, "top-p chose " + byShare);
      int byBoth = choose(logits, new SampleOptions(1, 60, 0.5f, 0, 1), vocab, round);
      assertTrue(byBoth < 30, "both chose " + byBoth);
    }
    Arrays.fill(logits, vocab - 30, vocab, -7); // now these, and ten of the first
    for (int round = 0; round < 10; round++) {
      int byCount = choose(logits, new SampleOptions(1, 40, 1, 0, 1), vocab, round);
      assertTrue(byCount < 10 || byCount >= vocab - 30, "top-k chose " + byCount);
      int byBoth = choose(logits, new SampleOptions(1, 40, 0.5f, 0, 1), vocab, round);
      assertTrue(byBoth >= vocab - 30, "both chose " + byBoth);
    }
  }

  @Test
  default void paddedColumnsAreNeverChosen() {
    float[] logits = {1, 2, 3, 50, 60};
    assertEquals(2, choose(logits, SampleOptions.GREEDY, 3));
    for (int round = 0; round < 30; round++) {
      assertTrue(choose(logits, SampleOptions.PLAIN, 3, round) < 3);
    }
  }

  @Test
  default void infinitelyUnlikelyIdsAreNeverChosen() {
    float[] logits = new float[100];
    Arrays.fill(logits, Float.NEGATIVE_INFINITY);
    logits[41] = -3;
    assertEquals(41, choose(logits, SampleOptions.GREEDY, 100));
    for (int round = 0; round < 30; round++) {
      assertEquals(41, choose(logits, SampleOptions.PLAIN, 100, round));
      assertEquals(41, choose(logits, new SampleOptions(1, 5, 0.9f, 0, 1), 100, round));
    }
  }

  @Test
  default void theLastRowsAreMarkedButNotSampled() {
    Table table = new Table(probe(), 3, 4, SampleOptions.GREEDY);
    Batch batch = probe().batch(new int[] {2, 0, 1}, new int[] {1, 2, 1}, new int[3]);
    int[] chosen = table.run(batch, new int[] {1, 0, 3, 2}, new float[] {0, 0, 5, 0});
    assertArrayEquals(new int[] {2}, chosen);
    byte[] expected = {1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0};
    assertArrayEquals(expected, probe().bytes(table.sample.seen()));
  }

  @Test
  default void positionZeroForgetsAndLaterPositionsRemember() {
    Table table = new Table(probe(), 1, 4, new SampleOptions(0, 0, 1, 0, 10));
    float[] logits = {4, 3, 2, 1};
    assertEquals(1, table.run(probe().row(0, 1, 0), new int[] {0}, logits)[0]);
    assertEquals(2, table.run(probe().row(0, 1, 1), new int[] {1}, logits)[0]);
    assertEquals(0, table.run(probe().row(0, 1, 0), new int[] {3}, logits)[0]);
  }

  @Test
  default void aRowDependsNeitherOnItsMatesNorItsSlotNorTheCutOfItsPrompt() {
    int vocab = 500;
    SampleOptions options = new SampleOptions(1, 50, 0.9f, 0, 1.3f);
    Random random = new Random(4);
    float[] logits = Probe.random(61, 3 * vocab, 5);
    int[] ids = random.ints(7, 0, vocab).toArray();
    Table together = new Table(probe(), 5, vocab, options);
    int[] slots = {4, 1, 2};
    for (int row = 0; row < 3; row++) {
      together.key(slots[row], 1, 2, 30 + row, 4);
    }
    Batch batch = probe().batch(slots, new int[] {2, 1, 4}, new int[3]);
    int[] expected = together.run(batch, ids, logits);
    Table alone = new Table(probe(), 1, vocab, options);
    alone.key(0, 1, 2, 32, 4);
    float[] last = Arrays.copyOfRange(logits, 2 * vocab, 3 * vocab);
    alone.run(probe().row(0, 3, 0), Arrays.copyOfRange(ids, 3, 6), last);
    int[] actual = alone.run(probe().row(0, 1, 3), Arrays.copyOfRange(ids, 6, 7), last);
    assertEquals(expected[2], actual[0]);
  }

  private int choose(float[] logits, SampleOptions options, int vocab) {
    return choose(logits, options, vocab, 0);
  }

  private int choose(float[] logits, SampleOptions options, int vocab, int rowKey) {
    Table table = new Table(probe(), 1, vocab, options);
    table.key(0, 0, 0, rowKey, 0);
    return table.run(probe().row(0, 1, 0), new int[1], logits)[0];
  }

  private static double uniform(long seedLow, long seedHigh, long low, long high, int index) {
    long[] counter = {low, high, index, 0};
    long word = Oracle.philox(counter, new long[] {seedLow, seedHigh})[0];
    return ((word >>> 8) + 0.5) * 0x1p-24;
  }

  private static double sum(double[] distribution, int end) {
    return Arrays.stream(distribution, 0, end).sum();
  }

  /** What sampling holds for slots that have the same options. */
  final class Table {
    private final Probe probe;
    private final Sample sample;
    private final int[] keys;

    Table(Probe probe, int slots, int vocab, SampleOptions options) {
      this.probe = probe;
      float[] rows = new float[slots * Sample.OPTIONS];
      for (int slot = 0; slot < slots; slot++) {
        int at = slot * Sample.OPTIONS;
        rows[at + Sample.TEMPERATURE] = options.temperature();
        rows[at + Sample.TOP_K] = options.topK();
        rows[at + Sample.TOP_P] = options.topP();
        rows[at + Sample.MIN_P] = options.minP();
        rows[at + Sample.REPETITION_PENALTY] = options.repetitionPenalty();
      }
      keys = new int[slots * 4];
      sample =
          new Sample(
              probe.floats(rows, slots, Sample.OPTIONS),
              probe.ints(keys, Shape.of(slots, 4)),
              probe.backend().allocate(DType.I8, Shape.of(slots, vocab)));
    }

    void key(int slot, long seedLow, long seedHigh, long rowLow, long rowHigh) {
      long[] words = {seedLow, seedHigh, rowLow, rowHigh};
      for (int i = 0; i < 4; i++) {
        keys[slot * 4 + i] = (int) words[i];
      }
      probe.write(sample.keys(), keys);
    }

    /** Samples as many rows as there are whole rows of logits, one row if there is one only. */
    int[] run(Batch batch, int[] ids, float[] logits) {
      int vocab = sample.seen().shape().dim(1);
      int rows = Math.max(1, Math.min(batch.rows(), logits.length / vocab));
      rows = batch.rows() == 1 ? 1 : rows;
      Tensor out = probe.ints(new int[rows]);
      Tensor table = probe.floats(logits, rows, logits.length / rows);
      probe.backend().sample(sample, batch, probe.ints(ids), table, out);
      return probe.ints(out);
    }
  }
}
