package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Behaviour of scan. Both forms: Mamba2 has an {@code a} a head, Mamba1 one a state. */
interface ScanContract {
  Probe probe();

  @ParameterizedTest
  @CsvSource({
    "5, 4, 32, 16, 1",
    "1, 4, 32, 16, 1",
    "64, 4, 32, 16, 1",
    "65, 4, 32, 16, 1",
    "150, 4, 32, 16, 1",
    "5, 1, 32, 16, 1",
    "5, 17, 32, 16, 1",
    "5, 4, 1, 16, 1",
    "5, 4, 16, 16, 1",
    "5, 4, 33, 16, 1",
    "5, 4, 64, 16, 1",
    "5, 4, 80, 16, 1",
    "5, 4, 32, 1, 1",
    "5, 4, 32, 3, 1",
    "5, 4, 32, 18, 1",
    "5, 4, 32, 128, 1",
    "37, 6, 64, 128, 2",
    "5, 4, 32, 16, 2",
    "5, 4, 32, 16, 4"
  })
  default void mamba2Recurrence(int tokens, int heads, int headDim, int stateDim, int groups) {
    Scan.Dims dims = new Scan.Dims(heads, headDim, stateDim, groups);
    assertEqualsOracle(new Case(dims, heads, tokens, 1), Scan.Limit.NONE);
  }

  @ParameterizedTest
  @CsvSource({
    "5, 40, 16",
    "1, 40, 16",
    "150, 40, 16",
    "5, 1, 16",
    "5, 16, 16",
    "5, 15, 16",
    "5, 200, 16",
    "5, 40, 1",
    "5, 40, 5",
    "5, 40, 32"
  })
  default void mamba1Recurrence(int tokens, int heads, int stateDim) {
    Scan.Dims dims = new Scan.Dims(heads, 1, stateDim, 1);
    assertEqualsOracle(new Case(dims, heads * stateDim, tokens, 1), Scan.Limit.NONE);
  }

  @ParameterizedTest
  @CsvSource({"0.3, 0.9", "0, 0.5", "0.8, Infinity"})
  default void stepSizesAreLimited(float min, float max) {
    Scan.Limit limit = new Scan.Limit(min, max);
    assertEqualsOracle(new Case(new Scan.Dims(20, 32, 16, 1), 20, 9, 1), limit);
    assertEqualsOracle(new Case(new Scan.Dims(20, 1, 16, 1), 20 * 16, 9, 1), limit);
  }

  /** With a = 0, b = c = 1 and stateDim 1, y of one token is dt · x. */
  @Test
  default void softplusHoldsForSmallAndLargeInputs() {
    float[] raw = {-100, -50, -20, -5, -1, 0, 1, 5, 16, 17, 19.9f, 20, 20.1f, 50, 100, 1000};
    int heads = raw.length;
    Scan.Dims dims = new Scan.Dims(heads, 1, 1, 1);
    float[] ones = new float[heads];
    Arrays.fill(ones, 1);
    Tensor zero = probe().zeros(heads);
    Scan scan = new Scan(zero, zero, zero, dims, Scan.Limit.NONE);
    Tensor one = probe().floats(new float[] {1}, 1, 1);
    Tensor out = probe().zeros(1, heads);
    Tensor dt = probe().floats(raw, 1, heads);
    Tensor x = probe().floats(ones, 1, heads);
    probe()
        .backend()
        .scan(scan, probe().row(0, 1, 0), x, dt, one, one, probe().zeros(1, heads, 1, 1), out);
    float[] actual = probe().floats(out);
    for (int i = 0; i < heads; i++) {
      double expected = Oracle.softplus(raw[i]);
      // exp and log1p within 4 units each; below the smallest normal number results may be 0.
      double tolerance = 8 * 0x1p-23 * expected + 0x1p-125;
      Probe.assertClose(new double[] {expected}, new float[] {actual[i]}, tolerance);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 7, 63, 64, 65, 100})
  default void scanInPiecesEqualsScanInOne(int piece) {
    for (Case example : examples(130)) {
      Tensor state = example.state(probe(), 2);
      Tensor once = example.run(probe(), probe().row(0, 130, 0), state);
      float[] pieces = new float[once.shape().dim(0) * once.shape().dim(1)];
      for (int from = 0; from < 130; from += piece) {
        int count = Math.min(piece, 130 - from);
        Case part = example.tokens(from, count);
        float[] y = probe().floats(part.run(probe(), probe().row(1, count, from), state));
        System.arraycopy(y, 0, pieces, from * example.dims.innerDim(), y.length);
      }
      assertArrayEquals(probe().floats(once), pieces);
      assertArrayEquals(
          probe().floats(state.rows(0, 1)), probe().floats(state.rows(1, 1)), "final state");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4, 5, 50})
  default void scanOfARaggedBatchEqualsEachRowAloneWhateverItsSlot(int rows) {
    int[] counts = new int[rows];
    int[] slots = new int[rows];
    int[] positions = new int[rows];
    for (int row = 0; row < rows; row++) {
      counts[row] = row == 2 ? 70 : 1 + row % 3;
      slots[row] = rows - row;
      positions[row] = row % 4 == 1 ? 0 : counts[row];
    }
    for (Case example : examples(Arrays.stream(counts).sum())) {
      Tensor state = example.state(probe(), rows + 1);
      Batch first = probe().batch(slots, counts, new int[rows]);
      example.run(probe(), first, state); // leaves a state to go on from
      Batch second = probe().batch(slots, counts, positions);
      float[] together = probe().floats(example.run(probe(), second, state));
      float[] alone = new float[together.length];
      int from = 0;
      for (int row = 0; row < rows; row++) {
        Case part = example.tokens(from, counts[row]);
        Tensor own = example.state(probe(), 1);
        part.run(probe(), probe().row(0, counts[row], 0), own);
        Batch again = probe().row(0, counts[row], positions[row]);
        float[] y = probe().floats(part.run(probe(), again, own));
        System.arraycopy(y, 0, alone, from * example.dims.innerDim(), y.length);
        from += counts[row];
      }
      assertArrayEquals(together, alone);
    }
  }

  @Test
  default void scanAtPositionZeroIgnoresWhatTheSlotHeld() {
    for (Case example : examples(3)) {
      Tensor fresh = example.run(probe(), probe().row(0, 3, 0), example.state(probe(), 1));
      Scan.Dims dims = example.dims;
      float[] garbage = new float[dims.innerDim() * dims.stateDim()];
      Arrays.fill(garbage, Float.NaN);
      Tensor state = probe().floats(garbage, 1, dims.heads(), dims.headDim(), dims.stateDim());
      Tensor reused = example.run(probe(), probe().row(0, 3, 0), state);
      assertArrayEquals(probe().floats(fresh), probe().floats(reused));
    }
  }

  @Test
  default void scanReadsColumnViewsAndMayWriteInPlace() {
    for (Case example : examples(66)) {
      Batch batch = probe().row(0, 66, 0);
      Tensor plain = example.run(probe(), batch, example.state(probe(), 1));
      Tensor inPlace = example.runOnViews(probe(), batch, example.state(probe(), 1));
      assertArrayEquals(probe().floats(plain), probe().floats(inPlace));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 5, 70})
  default void scanReadsCodes(int tokens) {
    for (Case example : examples(tokens)) {
      ScanCodes codes = example.codes(51);
      Batch batch = probe().row(0, tokens, 0);
      Tensor y =
          codes.run(probe(), batch, example.state(probe(), 1), codes.codedDt(probe(), tokens));
      double[] expected = codes.values().expected(Oracle.StateRounder.NONE);
      Probe.assertClose(expected, probe().floats(y), tolerance(example.dims));
      Tensor same =
          codes.run(probe(), batch, example.state(probe(), 1), codes.floatDt(probe(), tokens));
      assertArrayEquals(probe().floats(y), probe().floats(same));
    }
  }

  private void assertEqualsOracle(Case example, Scan.Limit limit) {
    Scan.Dims dims = example.dims;
    int tokens = example.inputs.dt().length / dims.heads();
    Tensor y = probe().zeros(tokens, dims.innerDim());
    example.run(probe(), probe().row(0, tokens, 0), example.state(probe(), 1), limit, y);
    double[] expected = Oracle.scan(example.weights, dims, limit, example.inputs);
    Probe.assertClose(expected, probe().floats(y), tolerance(dims));
  }

  /**
   * dt ≤ softplus(2) < 2.2, or the limit's minimum, and decay ≤ exp(−dt · 0.25): |S| is at most max
   * dt / (1 − exp(−dt · 0.25)) < 6, and y a sum of stateDim terms below 6. A term carries the
   * errors of dt, decay and state, about 32 half units of 6 as old errors decay alike, and each
   * step of the sum rounds a partial sum that for random signs stays below 6 · sqrt(stateDim).
   */
  static double tolerance(Scan.Dims dims) {
    return 6 * (32 + Math.sqrt(dims.stateDim())) * 0x1p-24 * (dims.stateDim() + 1);
  }

  /** One of Mamba2, one of Mamba1, and one of the extents that models of Mamba2 have. */
  static Case[] examples(int tokens) {
    Case mamba2 = new Case(new Scan.Dims(4, 37, 18, 2), 4, tokens, 2);
    Case mamba1 = new Case(new Scan.Dims(37, 1, 16, 1), 37 * 16, tokens, 3);
    return new Case[] {mamba2, mamba1, common(tokens)};
  }

  /** Of Mamba2, with the extents of a head that its models have, and groups of five heads. */
  static Case common(int tokens) {
    return new Case(new Scan.Dims(10, 64, 128, 2), 10, tokens, 4);
  }

  /** Weights and the inputs of some tokens. */
  final class Case {
    final Scan.Dims dims;
    final Oracle.ScanWeights weights;
    final Oracle.ScanInputs inputs;

    Case(Scan.Dims dims, Oracle.ScanWeights weights, Oracle.ScanInputs inputs) {
      this.dims = dims;
      this.weights = weights;
      this.inputs = inputs;
    }

    Case(Scan.Dims dims, int aCount, int tokens, long seed) {
      this(
          dims,
          new Oracle.ScanWeights(
              decays(seed, aCount),
              Probe.random(seed + 41, dims.heads()),
              Probe.random(seed + 42, dims.heads())),
          new Oracle.ScanInputs(
              Probe.random(seed + 43, tokens * dims.innerDim()),
              Probe.random(seed + 44, tokens * dims.heads()),
              Probe.random(seed + 45, tokens * dims.groups() * dims.stateDim()),
              Probe.random(seed + 46, tokens * dims.groups() * dims.stateDim())));
    }

    /** From −2.25 to −0.25. */
    private static float[] decays(long seed, int count) {
      Random random = new Random(seed);
      float[] a = new float[count];
      for (int i = 0; i < count; i++) {
        a[i] = -0.25f - 2 * random.nextFloat();
      }
      return a;
    }

    Case tokens(int from, int count) {
      int bc = dims.groups() * dims.stateDim();
      return new Case(
          dims,
          weights,
          new Oracle.ScanInputs(
              cut(inputs.x(), dims.innerDim(), from, count),
              cut(inputs.dt(), dims.heads(), from, count),
              cut(inputs.b(), bc, from, count),
              cut(inputs.c(), bc, from, count)));
    }

    private static float[] cut(float[] values, int width, int from, int count) {
      return Arrays.copyOfRange(values, from * width, (from + count) * width);
    }

    Tensor state(Probe probe, int slots) {
      return probe.zeros(slots, dims.heads(), dims.headDim(), dims.stateDim());
    }

    Scan scan(Probe probe, Scan.Limit limit) {
      int heads = dims.heads();
      Tensor a =
          weights.a().length == heads
              ? probe.floats(weights.a(), heads)
              : probe.floats(weights.a(), heads, dims.stateDim());
      return new Scan(
          a,
          probe.floats(weights.dtBias(), heads),
          probe.floats(weights.skip(), heads),
          dims,
          limit);
    }

    /** Weights and extents. */
    Scan.Dims dims() {
      return dims;
    }

    /** y (tokens, innerDim) of the oracle, the state rounded by {@code rounder}. */
    double[] expected(Oracle.StateRounder rounder) {
      return Oracle.scan(weights, dims, Scan.Limit.NONE, inputs, rounder);
    }

    /** The same with inputs that are values of codes. */
    ScanCodes codes(long seed) {
      byte[] x = Probe.randomCodes(seed, inputs.x().length);
      byte[] dt = Probe.randomCodes(seed + 1, inputs.dt().length);
      byte[] b = Probe.randomCodes(seed + 2, inputs.b().length);
      byte[] c = Probe.randomCodes(seed + 3, inputs.c().length);
      return new ScanCodes(this, x, dt, b, c);
    }

    Tensor run(Probe probe, Batch batch, Tensor state) {
      Tensor y = probe.zeros(batch.tokens(), dims.innerDim());
      run(probe, batch, state, Scan.Limit.NONE, y);
      return y;
    }

    /** As {@link #run}, on columns of wider matrices, into x. */
    Tensor runOnViews(Probe probe, Batch batch, Tensor state) {
      int tokens = batch.tokens();
      int bc = dims.groups() * dims.stateDim();
      Tensor x = probe.view(inputs.x(), tokens, dims.innerDim());
      Tensor dt = probe.view(inputs.dt(), tokens, dims.heads());
      Tensor b = probe.view(inputs.b(), tokens, bc);
      Tensor c = probe.view(inputs.c(), tokens, bc);
      probe.backend().scan(scan(probe, Scan.Limit.NONE), batch, x, dt, b, c, state, x);
      return x;
    }

    void run(Probe probe, Batch batch, Tensor state, Scan.Limit limit, Tensor y) {
      int tokens = batch.tokens();
      int bc = dims.groups() * dims.stateDim();
      probe
          .backend()
          .scan(
              scan(probe, limit),
              batch,
              probe.floats(inputs.x(), tokens, dims.innerDim()),
              probe.floats(inputs.dt(), tokens, dims.heads()),
              probe.floats(inputs.b(), tokens, bc),
              probe.floats(inputs.c(), tokens, bc),
              state,
              y);
    }
  }
}
