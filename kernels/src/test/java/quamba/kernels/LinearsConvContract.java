package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Products with a convolution behind them give the bits of one operation after the other. */
public interface LinearsConvContract {
  Probe probe();

  /** Columns of codes: some before those that are convolved, these, some behind; then a tail. */
  record Layout(int before, int channels, int behind, int tail) {
    int codes() {
      return before + channels + behind;
    }
  }

  /** What a call writes. */
  record Buffers(Tensor codes, Tensor tail, Tensor state) {
    void assertEqual(Probe probe, Buffers other, String what) {
      assertArrayEquals(probe.bytes(codes), probe.bytes(other.codes()), what + ", codes");
      assertArrayEquals(probe.floats(tail), probe.floats(other.tail()), what + ", tail");
      assertArrayEquals(probe.bytes(state), probe.bytes(other.state()), what + ", state");
    }
  }

  /** One of the two ways to do it. */
  interface Way {
    void run(
        Tensor x,
        List<Product> products,
        Conv conv,
        Batch batch,
        Tensor in,
        Tensor state,
        Tensor out);
  }

  /** Of layouts that have room for loads of four, and of such that do not. */
  @ParameterizedTest
  @CsvSource({
    "1, 300, 16, 40, 0, 5, 0",
    "8, 300, 16, 40, 8, 5, 4",
    "9, 300, 20, 44, 4, 80, 0",
    "16, 2560, 0, 200, 0, 80, 0",
    "17, 300, 64, 72, 3, 5, 1",
    "40, 300, 16, 40, 7, 65, 1",
    "64, 2560, 128, 200, 56, 80, 0",
    "65, 300, 16, 40, 0, 5, 0",
    "200, 300, 16, 40, 0, 5, 0",
    "5, 300, 16, 40, 0, 5, 1",
    "5, 300, 15, 40, 1, 5, 0",
    "5, 300, 16, 39, 1, 5, 0",
    "5, 46, 16, 40, 0, 5, 0",
    "1, 300, 16, 8500, 8, 5, 0",
    "8, 130, 4400, 4008, 100, 80, 4",
    "20, 300, 17, 33, 6, 5, 3"
  })
  default void linearsConvOfOneTokenARowEqualsOneByOne(
      int rows, int in, int before, int channels, int behind, int tail, int beside) {
    Layout layout = new Layout(before, channels, behind, tail);
    int[] counts = new int[rows];
    Arrays.fill(counts, 1);
    for (boolean byColumn : new boolean[] {false, true}) {
      assertOneByOne(layout, in, beside, byColumn, 4, counts);
    }
  }

  @Test
  default void linearsConvOfManyTokensEqualsOneByOne() {
    assertOneByOne(new Layout(16, 40, 0, 5), 300, 0, true, 4, 1, 3, 1, 9);
  }

  @Test
  default void linearsConvOfOtherWidthsEqualsOneByOne() {
    assertOneByOne(new Layout(16, 40, 0, 5), 300, 0, true, 3, 1, 1, 1);
  }

  /** Positions 0, 1, 2 and many, and one more token for each row. */
  private void assertOneByOne(
      Layout layout, int in, int beside, boolean byColumn, int convWidth, int... counts) {
    int rows = counts.length;
    int tokens = Arrays.stream(counts).sum();
    int channels = layout.channels();
    Backend backend = probe().backend();
    int[] slots = new int[rows];
    Arrays.setAll(slots, row -> rows - row);
    Conv conv =
        new Conv(
            probe().floats(Probe.random(91, channels * convWidth), channels, convWidth),
            probe().floats(Probe.random(92, channels), channels));
    Linear linear = new Linear(pack(93, layout.codes(), in));
    Linear tail = new Linear(pack(94, layout.tail(), in));
    // So that some codes are held to −128 and 127.
    float size = (float) Math.sqrt(in) / 250;
    Tensor scale = scale(95, byColumn ? layout.codes() : 1, size);
    Tensor inScale = byColumn ? scale.rows(layout.before(), channels) : scale;
    Tensor outScale = scale(96, byColumn ? channels : 1, size * 2);

    for (boolean alone : new boolean[] {false, true}) {
      Buffers expected = buffers(layout, tokens, rows, beside, convWidth);
      Buffers found = buffers(layout, tokens, rows, beside, convWidth);
      for (int step = 0; step < 2; step++) {
        int more = step;
        int[] positions = new int[rows];
        Arrays.setAll(positions, row -> (row % 4 == 3 ? 100 : row % 4) + more);
        Batch batch = probe().batch(slots, counts, positions);
        byte[] codes = Probe.randomCodes(97 + step, tokens * in);
        Tensor x = aligned(codes, tokens, in);
        for (boolean fused : new boolean[] {false, true}) {
          Buffers each = fused ? found : expected;
          Way way = fused ? backend::linearsConv : this::oneByOne;
          Tensor whole = each.codes().columns(0, layout.codes());
          Tensor some = whole.columns(layout.before(), channels);
          Product first = new Product(linear, whole.scaled(scale));
          Product second = new Product(tail, each.tail());
          way.run(
              x,
              alone ? List.of(first) : List.of(first, second),
              conv,
              batch,
              some.scaled(inScale),
              each.state(),
              some.scaled(outScale));
        }
        expected.assertEqual(probe(), found, "step " + step);
      }
    }
  }

  private Buffers buffers(Layout layout, int tokens, int rows, int beside, int convWidth) {
    int channels = layout.channels();
    int width = layout.codes() + beside;
    byte[] state = Probe.randomCodes(90, (rows + 1) * (convWidth - 1) * channels);
    return new Buffers(
        probe().bytes(new byte[tokens * width], tokens, width),
        probe().zeros(tokens, layout.tail()),
        probe().bytes(state, rows + 1, convWidth - 1, channels));
  }

  private void oneByOne(
      Tensor x, List<Product> products, Conv p, Batch batch, Tensor in, Tensor state, Tensor out) {
    for (Product product : products) {
      probe().backend().linear(product.linear(), x, product.out());
    }
    probe().backend().conv(p, batch, in, state, out);
  }

  private Tensor pack(long seed, int out, int in) {
    return probe().backend().pack(CodesContract.Matrix.fourBit(seed, out, in).weight(), DType.I8);
  }

  private Tensor scale(long seed, int count, float size) {
    return probe().floats(Probe.randomScales(seed, count, size), count);
  }

  /** Rows of codes that begin at multiples of 16. */
  private Tensor aligned(byte[] codes, int rows, int in) {
    int width = (in + 15) / 16 * 16;
    byte[] wide = new byte[rows * width];
    for (int row = 0; row < rows; row++) {
      System.arraycopy(codes, row * in, wide, row * width, in);
    }
    return probe().codes(wide, new float[] {0.01f}, rows, width).columns(0, in);
  }
}
