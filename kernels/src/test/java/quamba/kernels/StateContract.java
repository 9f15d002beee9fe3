package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.DoubleStream;
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

    Tensor state(Probe probe, Case example, int slots) {
      Scan.Dims dims = example.dims();
      return probe.backend().allocateState(format(probe, dims), DType.F32, dims, slots);
    }
  }

  /**
   * An element that lies within the recurrence's tolerance of a tie may round the other way: with
   * 16 or 18 elements a channel, units of 6 / 127 and tolerances of 1e-5 that is one channel in a
   * hundred each time. So a share of what shows the rounding, until it has decayed, may be apart.
   */
  @ParameterizedTest
  @EnumSource(Format.class)
  default void stateIsRoundedEverySixteenTokens(Format format) {
    for (Case example : ScanContract.examples(100)) {
      Tensor state = format.state(probe(), example, 1);
      float[] y = probe().floats(example.run(probe(), probe().row(0, 100, 0), state));
      double[] expected = example.expected(format::round);
      double[] unrounded = example.expected(Oracle.StateRounder.NONE);
      double tolerance = ScanContract.tolerance(example.dims());
      int apart = 0;
      int told = 0; // elements in which rounding shows
      for (int i = 0; i < y.length; i++) {
        apart += Math.abs(y[i] - expected[i]) > tolerance ? 1 : 0;
        told += Math.abs(y[i] - unrounded[i]) > tolerance ? 1 : 0;
      }
      assertTrue(told > 5, told + " elements show the rounding");
      assertTrue(apart <= told * 0.05, apart + " of " + told + " are apart");
      int before = 16 * example.dims().innerDim();
      double[] first = Arrays.copyOf(unrounded, before);
      Probe.assertClose(first, Arrays.copyOf(y, before), tolerance);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 7, 15, 16, 17, 31, 32, 33, 64, 65, 100})
  default void roundedScanInPiecesEqualsScanInOne(int piece) {
    for (Format format : Format.values()) {
      for (Case example : ScanContract.examples(130)) {
        Tensor state = format.state(probe(), example, 2);
        float[] once = probe().floats(example.run(probe(), probe().row(0, 130, 0), state));
        float[] pieces = new float[once.length];
        for (int from = 0; from < 130; from += piece) {
          int count = Math.min(piece, 130 - from);
          Case part = example.tokens(from, count);
          float[] y = probe().floats(part.run(probe(), probe().row(1, count, from), state));
          System.arraycopy(y, 0, pieces, from * example.dims().innerDim(), y.length);
        }
        assertArrayEquals(once, pieces, format.toString());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Format.class)
  default void roundedScanOfARaggedBatchEqualsEachRowAloneWhateverItsSlot(Format format) {
    int[] counts = {13, 1, 70, 16};
    int[] slots = {4, 0, 3, 1};
    for (Case example : ScanContract.examples(100)) {
      Tensor state = format.state(probe(), example, 5);
      example.run(probe(), probe().batch(slots, counts, new int[4]), state);
      Batch second = probe().batch(slots, counts, new int[] {13, 0, 70, 16});
      float[] together = probe().floats(example.run(probe(), second, state));
      float[] alone = new float[together.length];
      int from = 0;
      for (int row = 0; row < counts.length; row++) {
        Case part = example.tokens(from, counts[row]);
        Tensor own = format.state(probe(), example, 1);
        part.run(probe(), probe().row(0, counts[row], 0), own);
        int position = row == 1 ? 0 : counts[row];
        float[] y = probe().floats(part.run(probe(), probe().row(0, counts[row], position), own));
        System.arraycopy(y, 0, alone, from * example.dims().innerDim(), y.length);
        from += counts[row];
      }
      assertArrayEquals(together, alone);
    }
  }

  @ParameterizedTest
  @EnumSource(Format.class)
  default void roundedScanAtPositionZeroIgnoresWhatTheSlotHeld(Format format) {
    for (Case example : ScanContract.examples(40)) {
      Tensor state = format.state(probe(), example, 1);
      float[] fresh = probe().floats(example.run(probe(), probe().row(0, 40, 0), state));
      float[] reused = probe().floats(example.run(probe(), probe().row(0, 40, 0), state));
      assertArrayEquals(fresh, reused);
    }
  }

  /** With a = 0 the state is a sum of x · B · dt, which here overflows and underflows binary16. */
  @Test
  default void halfStateHoldsLargeAndKeepsSubnormalElements() {
    float[] x = {1e6f, -1e6f, 65503, 0x1.8p-24f, 0x1p-26f, 3.0001f};
    int heads = x.length;
    Scan.Dims dims = new Scan.Dims(heads, 1, 1, 1);
    Tensor zero = probe().zeros(heads);
    Scan scan = new Scan(zero, zero, zero, dims, new Scan.Limit(1, 1));
    Tensor state = probe().backend().allocateState(new ScanState.F16(), DType.F32, dims, 1);
    Tensor dt = probe().zeros(1, heads);
    Tensor one = probe().floats(new float[] {1}, 1, 1);
    Tensor none = probe().zeros(1, heads);
    Tensor y = probe().zeros(1, heads);
    for (int token = 0; token < 17; token++) {
      Tensor in = token == 0 ? probe().floats(x, 1, heads) : none;
      probe().backend().scan(scan, probe().row(0, 1, token), in, dt, one, one, state, y);
      if (token == 15) {
        assertArrayEquals(x, probe().floats(y));
      }
    }
    float[] kept = {65504, -65504, 65504, 0x1p-23f, 0, 3};
    assertArrayEquals(kept, probe().floats(y));
  }

  /** A channel of zeros stays zero, and one of tiny elements does not become NaN. */
  @Test
  default void rowScaledStateOfNothingIsNothing() {
    float[] x = {0, 1e-41f, -2, 254};
    int heads = x.length;
    Scan.Dims dims = new Scan.Dims(heads, 1, 1, 1);
    Tensor zero = probe().zeros(heads);
    Scan scan = new Scan(zero, zero, zero, dims, new Scan.Limit(1, 1));
    Tensor state = probe().backend().allocateState(new ScanState.RowScaled(), DType.F32, dims, 1);
    Tensor one = probe().floats(new float[] {1}, 1, 1);
    Tensor y = probe().zeros(1, heads);
    for (int token = 0; token < 17; token++) {
      Tensor in = token == 0 ? probe().floats(x, 1, heads) : zero(heads);
      probe().backend().scan(scan, probe().row(0, 1, token), in, zero(heads), one, one, state, y);
    }
    assertArrayEquals(new float[] {0, 0, -2, 254}, probe().floats(y), 1e-6f);
  }

  private Tensor zero(int heads) {
    return probe().zeros(1, heads);
  }
}
