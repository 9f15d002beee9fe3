package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.ScanContract.Case;

/** Behaviour of scan with a state that is rounded every 16 tokens. */
public interface StateContract {
  Probe probe();

  /** The formats, and their rounding in double precision. */
  enum Format {
    F16 {
      @Override
      ScanState format(Probe probe, Scan.Dims dims) {
        return new ScanState.F16();
      }

      @Override
      double[] round(double[] elements, int channel) {
        return Arrays.stream(elements)
            .map(
                v -> {
                  double unit = Math.scalb(1.0, Math.max(-14, Math.getExponent(v)) - 10);
                  return Math.rint(v / unit) * unit;
                })
            .toArray();
      }
    },
    ROW {
      @Override
      ScanState format(Probe probe, Scan.Dims dims) {
        return new ScanState.RowScaled();
      }

      @Override
      double[] round(double[] elements, int channel) {
        double most = DoubleStream.of(elements).map(Math::abs).max().orElse(0);
        return Arrays.stream(elements)
            .map(v -> most == 0 ? 0 : Math.rint(v / (most / 127)) * (most / 127))
            .toArray();
      }
    },
    /** Scales such that some elements are held to −128 and 127. */
    STATIC {
      @Override
      ScanState format(Probe probe, Scan.Dims dims) {
        int channels = dims.innerDim();
        float[] scales = new float[channels * dims.stateDim()];
        for (int i = 0; i < scales.length; i++) {
          scales[i] = (float) scale(i / dims.stateDim(), i % dims.stateDim());
        }
        return new ScanState.StaticScaled(
            probe.floats(scales, dims.heads(), dims.headDim(), dims.stateDim()));
      }

      private double scale(int channel, int n) {
        return 0x1p-9 * (1 + (channel * 7 + n * 5) % 8);
      }

      @Override
      double[] round(double[] elements, int channel) {
        double[] kept = new double[elements.length];
        for (int n = 0; n < kept.length; n++) {
          double code = Math.rint(elements[n] / scale(channel, n));
          kept[n] = Math.max(-128, Math.min(127, code)) * scale(channel, n);
        }
        return kept;
      }
    };

    abstract ScanState format(Probe probe, Scan.Dims dims);

    abstract double[] round(double[] elements, int channel);

    Tensor state(Probe probe, Load load, int slots) {
      Scan.Dims dims = load.dims();
      return probe.backend().allocateState(format(probe, dims), load.input(), dims, slots);
    }
  }

  /** Weights and the inputs of some tokens, in f32 or as codes. */
  record Load(Case example, Optional<ScanCodes> codes) {
    /** Columns with which rows of {@link ScanContract#common} begin at multiples of 16 bytes. */
    private static final int MORE = 6;

    static Load floats(Case example) {
      return new Load(example, Optional.empty());
    }

    static Load codes(Case example) {
      return new Load(example, Optional.of(example.codes(81)));
    }

    /** Of both inputs. */
    static List<Load> of(Case... examples) {
      return Arrays.stream(examples)
          .flatMap(example -> Stream.of(floats(example), codes(example)))
          .toList();
    }

    Scan.Dims dims() {
      return example.dims();
    }

    DType input() {
      return codes.isPresent() ? DType.I8 : DType.F32;
    }

    Load tokens(int from, int count) {
      return new Load(example.tokens(from, count), codes.map(all -> all.tokens(from, count)));
    }

    float[] run(Probe probe, Batch batch, Tensor state) {
      return probe.floats(
          codes.isPresent()
              ? codes.get().runTogether(probe, batch, state, MORE)
              : example.run(probe, batch, state));
    }

    double[] expected(Oracle.StateRounder rounder) {
      return codes.map(ScanCodes::values).orElse(example).expected(rounder);
    }

    /** {@link #run} from position 0 on in pieces of these sizes, which are used in turn. */
    float[] runInPieces(Probe probe, int slot, Tensor state, int tokens, int... pieces) {
      float[] y = new float[tokens * dims().innerDim()];
      int from = 0;
      for (int piece = 0; from < tokens; piece++) {
        int count = Math.min(pieces[piece % pieces.length], tokens - from);
        float[] part = tokens(from, count).run(probe, probe.row(slot, count, from), state);
        System.arraycopy(part, 0, y, from * dims().innerDim(), part.length);
        from += count;
      }
      return y;
    }
  }

  /**
   * An element that lies within the recurrence's error of a tie may round the other way: with 16
   * elements a channel, units of 6 / 127 and errors of 1e-5 that is one channel in a hundred each
   * time, with binary16 more, but by less. So y is only far nearer to what it should be, in squares
   * summed, than to what it would be without rounding.
   */
  @ParameterizedTest
  @EnumSource(Format.class)
  default void stateIsRoundedEverySixteenTokens(Format format) {
    for (Load load : Load.of(ScanContract.examples(100))) {
      Tensor state = format.state(probe(), load, 1);
      float[] y = load.run(probe(), probe().row(0, 100, 0), state);
      double[] expected = load.expected(format::round);
      double[] unrounded = load.expected(Oracle.StateRounder.NONE);
      double tolerance = ScanContract.tolerance(load.dims());
      double apart = 0;
      double told = 0; // how far rounding shows
      for (int i = 0; i < y.length; i++) {
        apart += (y[i] - expected[i]) * (y[i] - expected[i]);
        told += (y[i] - unrounded[i]) * (y[i] - unrounded[i]);
      }
      assertTrue(
          apart < told * 0.05,
          "%s, inputs %s: apart by %.3g, from the unrounded by %.3g"
              .formatted(load.dims(), load.input(), apart, told));
      int before = 16 * load.dims().innerDim();
      double[] first = Arrays.copyOf(unrounded, before);
      Probe.assertClose(first, Arrays.copyOf(y, before), tolerance);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 7, 15, 16, 17, 31, 32, 33, 64, 65, 100})
  default void roundedScanInPiecesEqualsScanInOne(int piece) {
    assertEqualInPieces(Load.of(ScanContract.examples(130)), piece);
  }

  @Test
  default void roundedScanInUnevenPiecesEqualsScanInOne() {
    assertEqualInPieces(Load.of(ScanContract.examples(130)), 7, 200);
    assertEqualInPieces(Load.of(ScanContract.examples(130)), 1, 1, 13, 1, 1, 30, 1, 8);
  }

  private void assertEqualInPieces(List<Load> loads, int... pieces) {
    for (Format format : Format.values()) {
      for (Load load : loads) {
        Tensor state = format.state(probe(), load, 2);
        float[] once = load.run(probe(), probe().row(0, 130, 0), state);
        float[] cut = load.runInPieces(probe(), 1, state, 130, pieces);
        assertArrayEquals(once, cut, format + " state, inputs " + load.input());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Format.class)
  default void roundedScanOfARaggedBatchEqualsEachRowAloneWhateverItsSlot(Format format) {
    int[] counts = {13, 1, 70, 16};
    int[] slots = {4, 0, 3, 1};
    for (Load load : Load.of(ScanContract.examples(100))) {
      Tensor state = format.state(probe(), load, 5);
      load.run(probe(), probe().batch(slots, counts, new int[4]), state);
      Batch second = probe().batch(slots, counts, new int[] {13, 0, 70, 16});
      float[] together = load.run(probe(), second, state);
      float[] alone = new float[together.length];
      int from = 0;
      for (int row = 0; row < counts.length; row++) {
        Load part = load.tokens(from, counts[row]);
        Tensor own = format.state(probe(), load, 1);
        part.run(probe(), probe().row(0, counts[row], 0), own);
        int position = row == 1 ? 0 : counts[row];
        float[] y = part.run(probe(), probe().row(0, counts[row], position), own);
        System.arraycopy(y, 0, alone, from * load.dims().innerDim(), y.length);
        from += counts[row];
      }
      assertArrayEquals(together, alone);
    }
  }

  /**
   * Few rows, and so many that a device may share its work out in other ways; of the first, the
   * state is rounded.
   */
  @ParameterizedTest
  @EnumSource(Format.class)
  default void roundedScanOfSingleTokensEqualsEachRowAlone(Format format) {
    for (int rows : new int[] {7, 40, 130}) {
      singleTokensEqualEachRowAlone(format, rows);
    }
  }

  private void singleTokensEqualEachRowAlone(Format format, int rows) {
    int[] counts = new int[rows];
    int[] starts = new int[rows + 1];
    int[] slots = new int[rows];
    int[] ones = new int[rows];
    for (int row = 0; row < rows; row++) {
      counts[row] = 1 + (row + 14) % 17;
      starts[row + 1] = starts[row] + counts[row];
      slots[row] = (row * 3 + 1) % rows;
      ones[row] = 1;
    }
    for (Load load : Load.of(ScanContract.common(starts[rows]))) {
      Tensor state = format.state(probe(), load, rows);
      load.run(probe(), probe().batch(slots, counts, new int[rows]), state);
      Batch next = probe().batch(slots, ones, counts);
      float[] together = load.tokens(0, rows).run(probe(), next, state);
      int innerDim = load.dims().innerDim();
      for (int row = 0; row < rows; row += 3) {
        Tensor own = format.state(probe(), load, 1);
        Load before = load.tokens(starts[row], counts[row]);
        before.run(probe(), probe().row(0, counts[row], 0), own);
        float[] alone = load.tokens(row, 1).run(probe(), probe().row(0, 1, counts[row]), own);
        float[] among = Arrays.copyOfRange(together, row * innerDim, (row + 1) * innerDim);
        assertArrayEquals(among, alone, "row " + row);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Format.class)
  default void roundedScanAtPositionZeroIgnoresWhatTheSlotHeld(Format format) {
    for (Load load : Load.of(ScanContract.examples(40))) {
      Tensor state = format.state(probe(), load, 1);
      float[] fresh = load.run(probe(), probe().row(0, 40, 0), state);
      assertArrayEquals(fresh, load.run(probe(), probe().row(0, 40, 0), state));
      assertArrayEquals(fresh, load.runInPieces(probe(), 0, state, 40, 1));
    }
  }

  /** Rows that begin at any byte, and dt in either dtype. */
  @ParameterizedTest
  @EnumSource(Format.class)
  default void roundedScanReadsColumnsWhereverTheyLie(Format format) {
    Case example = ScanContract.common(40);
    Load load = Load.codes(example);
    ScanCodes codes = example.codes(81);
    Tensor state = format.state(probe(), load, 1);
    float[] expected = load.run(probe(), probe().row(0, 40, 0), state);
    for (int more : new int[] {0, 1, 2, 3, 4, 5}) {
      Tensor y = codes.runTogether(probe(), probe().row(0, 40, 0), state, more);
      assertArrayEquals(expected, probe().floats(y), more + " columns more");
    }
    Tensor coded = codes.run(probe(), probe().row(0, 40, 0), state, codes.codedDt(probe(), 40));
    assertArrayEquals(expected, probe().floats(coded));
    Tensor floats = codes.run(probe(), probe().row(0, 40, 0), state, codes.floatDt(probe(), 40));
    assertArrayEquals(expected, probe().floats(floats));
    int innerDim = example.dims().innerDim();
    for (int token = 0; token < 20; token++) {
      ScanCodes own = codes.tokens(token, 1);
      Tensor y = own.runTogether(probe(), probe().row(0, 1, token), state, 1);
      float[] expectedOwn = Arrays.copyOfRange(expected, token * innerDim, (token + 1) * innerDim);
      assertArrayEquals(expectedOwn, probe().floats(y), "token " + token);
    }
  }

  @ParameterizedTest
  @EnumSource(Format.class)
  default void roundedScanReadsViewsAndMayWriteInPlace(Format format) {
    for (Case example : ScanContract.examples(66)) {
      Tensor state = format.state(probe(), Load.floats(example), 1);
      Tensor plain = example.run(probe(), probe().row(0, 66, 0), state);
      Tensor inPlace = example.runOnViews(probe(), probe().row(0, 66, 0), state);
      assertArrayEquals(probe().floats(plain), probe().floats(inPlace));
    }
  }

  /** With a = 0 the state is a sum of x · B · dt, which here overflows and underflows binary16. */
  @Test
  default void halfStateHoldsLargeAndKeepsSubnormalElements() {
    float[] x = {1e6f, -1e6f, 65503, 0x1.8p-24f, 0x1p-26f, 3.0001f};
    float[] kept = {65504, -65504, 65504, 0x1p-23f, 0, 3};
    for (Scan.Dims dims : extents(x.length)) {
      float[][] y = heldBeforeAndAfter(new ScanState.F16(), dims, x);
      assertArrayEquals(Arrays.copyOf(x, dims.innerDim()), y[0]);
      assertArrayEquals(Arrays.copyOf(kept, dims.innerDim()), y[1]);
    }
  }

  /** A channel of zeros stays zero, and one of tiny elements does not become NaN. */
  @Test
  default void rowScaledStateOfNothingIsNothing() {
    float[] x = {0, 1e-41f, -2, 254};
    float[] kept = {0, 0, -2, 254};
    for (Scan.Dims dims : extents(x.length)) {
      float[][] y = heldBeforeAndAfter(new ScanState.RowScaled(), dims, x);
      assertArrayEquals(Arrays.copyOf(kept, dims.innerDim()), y[1], 1e-6f);
    }
  }

  /** Of a head a channel, and of as many channels as heads of models have. */
  private static Scan.Dims[] extents(int channels) {
    return new Scan.Dims[] {new Scan.Dims(channels, 1, 1, 1), new Scan.Dims(1, 64, 128, 1)};
  }

  /**
   * y of the tokens before and after the state's rounding, the state made of x in its element 0.
   */
  private float[][] heldBeforeAndAfter(ScanState format, Scan.Dims dims, float[] x) {
    int heads = dims.heads();
    Tensor zero = probe().zeros(heads);
    Scan scan = new Scan(zero, zero, zero, dims, new Scan.Limit(1, 1));
    Tensor state = probe().backend().allocateState(format, DType.F32, dims, 1);
    Tensor dt = probe().zeros(1, heads);
    float[] first = new float[dims.stateDim()];
    first[0] = 1;
    Tensor bc = probe().floats(first, 1, dims.stateDim());
    Tensor held = probe().floats(Arrays.copyOf(x, dims.innerDim()), 1, dims.innerDim());
    Tensor none = probe().zeros(1, dims.innerDim());
    Tensor y = probe().zeros(1, dims.innerDim());
    float[][] found = new float[2][];
    for (int token = 0; token < 17; token++) {
      Tensor in = token == 0 ? held : none;
      probe().backend().scan(scan, probe().row(0, 1, token), in, dt, bc, bc, state, y);
      if (token >= 15) {
        found[token - 15] = probe().floats(y);
      }
    }
    return found;
  }
}
