package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Behaviour of conv. */
interface ConvContract {
  Probe probe();

  @ParameterizedTest
  @CsvSource({
    "9, 40, 4",
    "1, 40, 4",
    "2, 40, 4",
    "3, 40, 4",
    "100, 40, 4",
    "140, 6400, 4",
    "127, 40, 4",
    "128, 40, 4",
    "129, 40, 4",
    "700, 36, 4",
    "9, 1, 4",
    "9, 16, 4",
    "9, 63, 4",
    "9, 200, 4",
    "9, 40, 1",
    "9, 40, 2",
    "9, 40, 3",
    "9, 40, 5"
  })
  default void convSumsOverTheLastInputsThenSilu(int tokens, int channels, int convWidth) {
    float[] x = Probe.random(20, tokens * channels);
    float[] weight = Probe.random(21, channels * convWidth);
    float[] bias = Probe.random(22, channels);
    Conv conv = conv(weight, bias);
    Tensor out = probe().zeros(tokens, channels);
    Tensor state = probe().zeros(1, convWidth - 1, channels);
    Tensor xs = probe().floats(x, tokens, channels);
    probe().backend().conv(conv, probe().row(0, tokens, 0), xs, state, out);
    // convWidth + 1 terms of at most 1, each rounding a partial sum of at most convWidth + 1; SiLU
    // has a slope of at most 1.1 and adds 7 roundings.
    double size = convWidth + 1;
    double tolerance = size * (1.1 * size + 7) * 0x1p-24;
    Probe.assertClose(Oracle.conv(x, weight, bias, channels), probe().floats(out), tolerance);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 11})
  default void convInPiecesEqualsConvInOne(int piece) {
    int tokens = 12;
    int channels = 37;
    Conv conv = conv(Probe.random(23, channels * 4), Probe.random(24, channels));
    Tensor x = probe().floats(Probe.random(25, tokens * channels), tokens, channels);
    Tensor state = probe().zeros(2, 3, channels);
    Tensor once = probe().zeros(tokens, channels);
    probe().backend().conv(conv, probe().row(0, tokens, 0), x, state, once);
    Tensor pieces = probe().zeros(tokens, channels);
    for (int from = 0; from < tokens; from += piece) {
      int count = Math.min(piece, tokens - from);
      Tensor out = pieces.rows(from, count);
      probe().backend().conv(conv, probe().row(1, count, from), x.rows(from, count), state, out);
    }
    assertArrayEquals(probe().floats(once), probe().floats(pieces));
    float[] states = probe().floats(state);
    assertArrayEquals(
        Arrays.copyOf(states, 3 * channels),
        Arrays.copyOfRange(states, 3 * channels, 6 * channels));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4, 5, 50})
  default void convOfARaggedBatchEqualsEachRowAloneWhateverItsSlot(int rows) {
    int channels = 70;
    int slotCount = rows + 1;
    int[] counts = new int[rows];
    int[] positions = new int[rows];
    int[] slots = new int[rows];
    for (int row = 0; row < rows; row++) {
      counts[row] = row % 4 == 2 ? 7 : 1 + row % 3;
      positions[row] = row % 3 * 5;
      slots[row] = rows - row;
    }
    int tokens = Arrays.stream(counts).sum();
    Conv conv = conv(Probe.random(26, channels * 4), Probe.random(27, channels));
    Tensor x = probe().floats(Probe.random(28, tokens * channels), tokens, channels);
    float[] history = Probe.random(29, slotCount * 3 * channels);
    Tensor state = probe().floats(history, slotCount, 3, channels);
    Tensor together = probe().zeros(tokens, channels);
    probe().backend().conv(conv, probe().batch(slots, counts, positions), x, state, together);
    Tensor alone = probe().zeros(tokens, channels);
    int from = 0;
    for (int row = 0; row < rows; row++) {
      int at = slots[row] * 3 * channels;
      float[] own = Arrays.copyOfRange(history, at, at + 3 * channels);
      probe()
          .backend()
          .conv(
              conv,
              probe().row(0, counts[row], positions[row]),
              x.rows(from, counts[row]),
              probe().floats(own, 1, 3, channels),
              alone.rows(from, counts[row]));
      from += counts[row];
    }
    assertArrayEquals(probe().floats(together), probe().floats(alone));
  }

  @Test
  default void convAtPositionZeroIgnoresWhatTheSlotHeld() {
    float[] x = Probe.random(30, 2 * 20);
    Conv conv = conv(Probe.random(31, 20 * 4), Probe.random(32, 20));
    Tensor fresh = probe().zeros(2, 20);
    Tensor xs = probe().floats(x, 2, 20);
    probe().backend().conv(conv, probe().row(0, 2, 0), xs, probe().zeros(1, 3, 20), fresh);
    float[] garbage = new float[3 * 20];
    Arrays.fill(garbage, Float.NaN);
    Tensor state = probe().floats(garbage, 1, 3, 20);
    Tensor reused = probe().zeros(2, 20);
    probe().backend().conv(conv, probe().row(0, 2, 0), xs, state, reused);
    assertArrayEquals(probe().floats(fresh), probe().floats(reused));
    float[] expectedState = new float[60];
    System.arraycopy(x, 0, expectedState, 20, 40);
    assertArrayEquals(expectedState, probe().floats(state));
  }

  /** Rows of one token alone take another way than together with longer ones. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 37, 600})
  default void convOfRowsOfOneTokenEqualsEachWithinALongerBatch(int rows) {
    int channels = 44;
    int[] slots = new int[rows + 1];
    int[] counts = new int[rows + 1];
    int[] positions = new int[rows + 1];
    for (int row = 0; row <= rows; row++) {
      slots[row] = row;
      counts[row] = row < rows ? 1 : 2;
      positions[row] = row % 3;
    }
    Conv conv = conv(Probe.random(36, channels * 4), Probe.random(37, channels));
    Tensor x = probe().floats(Probe.random(38, (rows + 2) * channels), rows + 2, channels);
    float[] history = Probe.random(39, (rows + 1) * 3 * channels);
    Tensor states = probe().floats(history, rows + 1, 3, channels);
    Tensor together = probe().zeros(rows + 2, channels);
    probe().backend().conv(conv, probe().batch(slots, counts, positions), x, states, together);
    Tensor ownStates = probe().floats(history, rows + 1, 3, channels);
    Tensor alone = probe().zeros(rows, channels);
    Batch batch =
        probe()
            .batch(
                Arrays.copyOf(slots, rows),
                Arrays.copyOf(counts, rows),
                Arrays.copyOf(positions, rows));
    probe().backend().conv(conv, batch, x.rows(0, rows), ownStates, alone);
    float[] first = Arrays.copyOf(probe().floats(together), rows * channels);
    assertArrayEquals(first, probe().floats(alone));
    int kept = rows * 3 * channels;
    assertArrayEquals(
        Arrays.copyOf(probe().floats(states), kept),
        Arrays.copyOf(probe().floats(ownStates), kept));
  }

  @ParameterizedTest
  @ValueSource(ints = {9, 300, 1030})
  default void convInPlaceIsWhatItIsElsewhere(int tokens) {
    float[] x = Probe.random(46, tokens * 24);
    Conv conv = conv(Probe.random(47, 24 * 4), Probe.random(48, 24));
    Batch batch = probe().row(0, tokens, 0);
    Tensor apart = probe().zeros(tokens, 24);
    Tensor xs = probe().floats(x, tokens, 24);
    probe().backend().conv(conv, batch, xs, probe().zeros(1, 3, 24), apart);
    probe().backend().conv(conv, batch, xs, probe().zeros(1, 3, 24), xs);
    assertArrayEquals(probe().floats(apart), probe().floats(xs));
  }

  @Test
  default void convReadsAColumnViewAndMayWriteInPlace() {
    float[] x = Probe.random(33, 9 * 20);
    Conv conv = conv(Probe.random(34, 20 * 4), Probe.random(35, 20));
    Batch batch = probe().row(0, 9, 0);
    Tensor plain = probe().zeros(9, 20);
    probe().backend().conv(conv, batch, probe().floats(x, 9, 20), probe().zeros(1, 3, 20), plain);
    Tensor view = probe().view(x, 9, 20);
    probe().backend().conv(conv, batch, view, probe().zeros(1, 3, 20), view);
    assertArrayEquals(probe().floats(plain), probe().floats(view));
  }

  private Conv conv(float[] weight, float[] bias) {
    int channels = bias.length;
    return new Conv(
        probe().floats(weight, channels, weight.length / channels), probe().floats(bias, channels));
  }
}
