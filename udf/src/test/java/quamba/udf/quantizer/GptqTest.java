package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.QuantizedWeight;
import quamba.udf.quantizer.Gptq.Options;
import quamba.udf.quantizer.Gptq.Order;

class GptqTest {
  private static final String LAYER = "backbone.layers.3.mixer.in_proj.weight";

  private static Gptq.Result quantize(
      WeightFormat format, Options options, Matrix weight, double[] hessian) {
    return new Gptq(format, ScaleChoice.SEARCH, options).quantize(LAYER, weight, hessian);
  }

  private static Options options(Order order, int sweeps) {
    return new Options(0.01, order, sweeps, 2);
  }

  /**
   * Optimal brain quantization of one row in a fixed order (Frantar et al. 2022): after each column
   * all that are left take {@code −error / H⁻¹_jj · H⁻¹_j}, and the column leaves H⁻¹.
   */
  private static double[] brain(double[] row, double[] inverse, int group, int low, int high) {
    int in = row.length;
    double[] weights = row.clone();
    double[] left = inverse.clone();
    double[] rounded = new double[in];
    double scale = 0;
    for (int j = 0; j < in; j++) {
      if (j % group == 0) {
        double most = 0;
        for (int i = j; i < Math.min(in, j + group); i++) {
          most = Math.max(most, Math.abs(weights[i]));
        }
        scale = Naive.half(high == 7 ? most * 2 / 15 : most / 127);
      }
      rounded[j] = Naive.round(weights[j], scale, low, high) * scale;
      double pivot = left[j * in + j];
      double error = (weights[j] - rounded[j]) / pivot;
      for (int i = j; i < in; i++) {
        weights[i] -= error * left[j * in + i];
      }
      double[] before = left.clone();
      for (int i = 0; i < in; i++) {
        for (int k = 0; k < in; k++) {
          left[i * in + k] -= before[i * in + j] * before[j * in + k] / pivot;
        }
      }
    }
    return rounded;
  }

  /** Gauss–Jordan inverse of {@code hessian + 0.01 · mean diagonal}. */
  private static double[] dampedInverse(double[] hessian, int in) {
    double[] a = hessian.clone();
    double mean = 0;
    for (int i = 0; i < in; i++) {
      mean += hessian[i * in + i] / in;
    }
    for (int i = 0; i < in; i++) {
      a[i * in + i] += 0.01 * mean;
    }
    double[] inverse = Naive.identity(in);
    for (int column = 0; column < in; column++) {
      double pivot = a[column * in + column];
      for (int k = 0; k < in; k++) {
        a[column * in + k] /= pivot;
        inverse[column * in + k] /= pivot;
      }
      for (int row = 0; row < in; row++) {
        double factor = row == column ? 0 : a[row * in + column];
        for (int k = 0; k < in; k++) {
          a[row * in + k] -= factor * a[column * in + k];
          inverse[row * in + k] -= factor * inverse[column * in + k];
        }
      }
    }
    return inverse;
  }

  @ParameterizedTest
  @CsvSource({"INT4, 24", "INT4, 160", "INT8, 24", "INT8, 140"})
  void codesAreThoseOfOptimalBrainQuantization(WeightFormat format, int in) {
    Matrix weight = Naive.weight(5, in, 11);
    double[] hessian = Naive.hessian(in, 12);
    double[] inverse = dampedInverse(hessian, in);
    Gptq gptq = new Gptq(format, ScaleChoice.ABSMAX, options(Order.NATURAL, 0));
    float[] found = Stored.matrix(gptq.quantize(LAYER, weight, hessian).weight()).values();
    int group = format == WeightFormat.INT8 ? in : 128;
    for (int row = 0; row < 5; row++) {
      double[] values = new double[in];
      for (int i = 0; i < in; i++) {
        values[i] = weight.values()[row * in + i];
      }
      double[] expected = brain(values, inverse, group, format.low(), format.high());
      for (int i = 0; i < in; i++) {
        assertEquals(expected[i], found[row * in + i], 1e-6, "row " + row + " column " + i);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"INT8", "INT4", "INT4_AS_INT8"})
  void inputsThatDoNotGoTogetherLeaveNearestRounding(WeightFormat format) {
    Matrix weight = Naive.weight(140, 256, 13);
    QuantizedWeight expected = new WeightRounding(format, ScaleChoice.SEARCH, 1).round(weight);
    // Scales chosen group by group cannot know the row's scale that they lead to.
    boolean expanded = format == WeightFormat.INT4_AS_INT8;
    for (Order order : expanded ? List.of(Order.ACTIVATION) : List.of(Order.values())) {
      Gptq.Result found =
          quantize(format, new Options(0, order, 0, 2), weight, Naive.identity(256));
      assertEquals(expected, found.weight());
      Gptq.Result swept =
          quantize(format, new Options(0, order, 2, 2), weight, Naive.identity(256));
      if (expanded || format == WeightFormat.INT8 || order == Order.ACTIVATION) {
        assertTrue(swept.loss() <= found.loss() * 1.001, swept.loss() + " of " + found.loss());
      } else {
        assertTrue(swept.loss() < found.loss(), "scales move with their codes");
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"INT8", "INT4", "INT4_AS_INT8"})
  void lossIsWhatItSaysAndWellBelowNearestRounding(WeightFormat format) {
    Matrix weight = Naive.weight(130, 300, 14);
    double[] hessian = Naive.hessian(300, 15);
    Matrix nearest =
        Stored.matrix(
            format.effective(new WeightRounding(format, ScaleChoice.SEARCH, 1).round(weight)));
    double before = Naive.loss(weight, nearest, hessian);
    for (Order order : Order.values()) {
      Gptq.Result found = quantize(format, options(order, 0), weight, hessian);
      double loss = Naive.loss(weight, Stored.matrix(format.effective(found.weight())), hessian);
      assertEquals(loss, found.loss(), 1e-3 * loss);
      assertTrue(loss < 0.7 * before, order + ": " + loss + " against " + before);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"INT8", "INT4", "INT4_AS_INT8"})
  void sweepsLowerTheLoss(WeightFormat format) {
    Matrix weight = Naive.weight(130, 300, 16);
    double[] hessian = Naive.hessian(300, 17);
    double before = Double.POSITIVE_INFINITY;
    for (int sweeps : new int[] {0, 1, 2, 6}) {
      double loss = quantize(format, options(Order.NATURAL, sweeps), weight, hessian).loss();
      assertTrue(loss < before, sweeps + " sweeps: " + loss + " against " + before);
      before = loss;
    }
  }

  @Test
  void afterEnoughSweepsNoCodeAloneCanBeBettered() {
    int in = 40;
    Matrix weight = Naive.weight(3, in, 18);
    double[] hessian = Naive.hessian(in, 19);
    Options options = new Options(0, Order.NATURAL, 50, 1);
    QuantizedWeight found = quantize(WeightFormat.INT4, options, weight, hessian).weight();
    Matrix values = Stored.matrix(found);
    double least = Naive.loss(weight, values, hessian);
    for (int row = 0; row < 3; row++) {
      for (int column = 0; column < in; column++) {
        for (int step : new int[] {-1, 1}) {
          int code = Stored.code(found, row, column) + step;
          if (code >= -8 && code <= 7) {
            Matrix changed = new Matrix(3, in, values.values().clone());
            changed.values()[row * in + column] = code * Stored.scale(found, row, 0);
            assertTrue(Naive.loss(weight, changed, hessian) > least * (1 - 1e-5));
          }
        }
      }
    }
  }

  @Test
  void integersThatWeightsBecomeAreWhatIsRoundedFor() {
    int in = 384;
    Matrix weight = Naive.weight(100, in, 20);
    for (int i = 0; i < weight.values().length; i++) {
      weight.values()[i] *= i % in / 128 == 1 ? 0.03f : 1;
    }
    double[] hessian = Naive.hessian(in, 21);
    for (int i = 0; i < hessian.length; i++) {
      hessian[i] *= (i / in / 128 == 1 ? 20 : 1) * (i % in / 128 == 1 ? 20 : 1);
    }
    WeightFormat format = WeightFormat.INT4_AS_INT8;
    Options options = options(Order.NATURAL, 2);
    Gptq.Result plain = quantize(WeightFormat.INT4, options, weight, hessian);
    Gptq.Result aware = quantize(format, options, weight, hessian);
    double plainLoss = Naive.loss(weight, Stored.matrix(format.effective(plain.weight())), hessian);
    assertTrue(aware.loss() < 0.9 * plainLoss, aware.loss() + " against " + plainLoss);
  }

  @Test
  void columnsThatWereNeverSeenKeepTheirNearestCode() {
    int in = 64;
    Matrix weight = Naive.weight(10, in, 22);
    double[] hessian = Naive.hessian(in, 23);
    for (int i = 0; i < in; i++) {
      for (int dead : new int[] {5, 40}) {
        hessian[i * in + dead] = 0;
        hessian[dead * in + i] = 0;
      }
    }
    for (Order order : Order.values()) {
      QuantizedWeight found =
          quantize(WeightFormat.INT4, options(order, 1), weight, hessian).weight();
      for (int row = 0; row < 10; row++) {
        for (int dead : new int[] {5, 40}) {
          double expected =
              Naive.round(weight.values()[row * in + dead], Stored.scale(found, row, 0), -8, 7);
          assertEquals(expected, Stored.code(found, row, dead));
        }
      }
    }
    QuantizedWeight none =
        quantize(WeightFormat.INT4, options(Order.NATURAL, 1), weight, new double[in * in])
            .weight();
    assertEquals(new WeightRounding(WeightFormat.INT4, ScaleChoice.SEARCH, 1).round(weight), none);
  }

  @Test
  void largestInputsFirstIsNoWorseOnAverage() {
    double natural = 0;
    double activation = 0;
    for (int seed = 0; seed < 5; seed++) {
      Matrix weight = Naive.weight(64, 256, 30 + seed);
      double[] hessian = Naive.hessian(256, 40 + seed);
      natural += quantize(WeightFormat.INT8, options(Order.NATURAL, 0), weight, hessian).loss();
      activation +=
          quantize(WeightFormat.INT8, options(Order.ACTIVATION, 0), weight, hessian).loss();
    }
    assertTrue(activation <= natural, activation + " against " + natural);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 5})
  void threadsDoNotChangeTheResult(int threads) {
    Matrix weight = Naive.weight(400, 200, 24);
    double[] hessian = Naive.hessian(200, 25);
    Options one = new Options(0.01, Order.ACTIVATION, 1, 1);
    Options many = new Options(0.01, Order.ACTIVATION, 1, threads);
    assertEquals(
        quantize(WeightFormat.INT4, one, weight, hessian),
        quantize(WeightFormat.INT4, many, weight, hessian));
  }

  @Test
  void rankDeficientHessiansAreDampedMore() {
    int in = 16;
    double[] hessian = new double[in * in];
    for (int i = 0; i < in; i++) {
      for (int j = 0; j < in; j++) {
        hessian[i * in + j] = 1 - (i == j ? 1e-3 : 0); // eigenvalues −1e-3
      }
    }
    Matrix weight = Naive.weight(4, in, 26);
    Options undamped = new Options(0, Order.NATURAL, 0, 1);
    QuantizedWeight found = quantize(WeightFormat.INT4, undamped, weight, hessian).weight();
    assertEquals(in, found.in());
  }

  @Test
  void hessiansBeyondHelpAreRefusedByLayer() {
    double[] indefinite = {1, 100, 100, 1};
    double[] broken = {1, Double.NaN, Double.NaN, 1};
    Matrix weight = new Matrix(1, 2, new float[] {1, 2});
    for (double[] hessian : new double[][] {indefinite, broken}) {
      String message =
          assertThrows(
                  IllegalArgumentException.class,
                  () -> quantize(WeightFormat.INT4, options(Order.NATURAL, 0), weight, hessian))
              .getMessage();
      assertTrue(message.startsWith(LAYER + ": the Hessian"), message);
      assertTrue(message.contains("without GPTQ"), message);
    }
    assertThrows(
        IllegalArgumentException.class,
        () -> quantize(WeightFormat.INT4, options(Order.NATURAL, 0), weight, new double[9]));
  }
}
