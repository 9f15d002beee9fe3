package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import quamba.kernels.QuantizedWeight;

class WeightRoundingTest {
  private static QuantizedWeight round(WeightFormat format, ScaleChoice choice, Matrix weight) {
    return new WeightRounding(format, choice, 2).round(weight);
  }

  private static double largest(Matrix weight, int row, int from, int to) {
    double largest = 0;
    for (int column = from; column < to; column++) {
      largest = Math.max(largest, Math.abs(weight.values()[row * weight.in() + column]));
    }
    return largest;
  }

  @ParameterizedTest
  @CsvSource({"INT8, 5, 7", "INT8, 130, 300", "INT4, 3, 2", "INT4, 129, 256", "INT4, 7, 300"})
  void byLargestMagnitudeAsUpstream(WeightFormat format, int out, int in) {
    Matrix weight = Naive.weight(out, in, 4);
    QuantizedWeight found = round(format, ScaleChoice.ABSMAX, weight);
    int group = format == WeightFormat.INT8 ? in : 128;
    int low = format == WeightFormat.INT8 ? -127 : -8;
    int high = format == WeightFormat.INT8 ? 127 : 7;
    for (int row = 0; row < out; row++) {
      for (int from = 0; from < in; from += group) {
        int to = Math.min(in, from + group);
        double most = largest(weight, row, from, to);
        double scale = Naive.half(format == WeightFormat.INT8 ? most / 127 : most * 2 / 15);
        assertEquals(scale, Stored.scale(found, row, from / group));
        for (int column = from; column < to; column++) {
          double expected = Naive.round(weight.values()[row * in + column], scale, low, high);
          assertEquals(expected, Stored.code(found, row, column));
        }
      }
    }
  }

  /** Least weighted squared error of a group over a thousand scales of both signs. */
  private static double bestError(float[] group, float[] importance, int low, int high) {
    double most = 0;
    for (float value : group) {
      most = Math.max(most, Math.abs(value));
    }
    double least = Double.POSITIVE_INFINITY;
    for (int i = -1000; i <= 1000; i++) {
      double scale = Naive.half(most / high * 1.2 * i / 1000);
      double sum = 0;
      for (int j = 0; j < group.length; j++) {
        double error = group[j] - Naive.round(group[j], scale, low, high) * scale;
        sum += importance[j] * error * error;
      }
      least = Math.min(least, sum);
    }
    return least;
  }

  @ParameterizedTest
  @EnumSource(names = {"INT8", "INT4"})
  void searchedScalesAreNearTheBestThatThereAre(WeightFormat format) {
    int in = 128;
    Matrix weight = Naive.weight(20, in, 5);
    float[] importance = new float[in];
    for (int i = 0; i < in; i++) {
      importance[i] = i % 16 == 3 ? 0.01f : 1 + i % 5;
    }
    QuantizedWeight found =
        new WeightRounding(format, ScaleChoice.SEARCH, 1).round(weight, importance);
    double best = 0;
    for (int row = 0; row < weight.out(); row++) {
      float[] group = Arrays.copyOfRange(weight.values(), row * in, (row + 1) * in);
      best += bestError(group, importance, format.low(), format.high());
    }
    double error = Naive.squaredError(weight, Stored.matrix(found), importance);
    assertTrue(error < 1.1 * best, error + " against " + best);
    double absmax =
        Naive.squaredError(
            weight, Stored.matrix(round(format, ScaleChoice.ABSMAX, weight)), importance);
    assertTrue(error < 0.9 * absmax, error + " against " + absmax);
  }

  @Test
  void codesAreTheNearestOfTheScaleAsStored() {
    Matrix weight = Naive.weight(9, 256, 6);
    QuantizedWeight found = round(WeightFormat.INT4, ScaleChoice.SEARCH, weight);
    boolean negative = false;
    for (int row = 0; row < 9; row++) {
      for (int column = 0; column < 256; column++) {
        double scale = Stored.scale(found, row, column / 128);
        negative |= scale < 0;
        double expected = Naive.round(weight.values()[row * 256 + column], scale, -8, 7);
        assertEquals(expected, Stored.code(found, row, column));
      }
    }
    assertTrue(negative, "some group's longer end is the positive one");
  }

  @Test
  void weightsMultipliedAsIntegersAreRoundedForThose() {
    Matrix weight = Naive.weight(200, 384, 7);
    for (int row = 0; row < 200; row++) {
      for (int column = 128; column < 256; column++) {
        weight.values()[row * 384 + column] *= 0.02f; // a few steps of the row's 8 bits
      }
    }
    QuantizedWeight plain = round(WeightFormat.INT4, ScaleChoice.SEARCH, weight);
    QuantizedWeight aware = round(WeightFormat.INT4_AS_INT8, ScaleChoice.SEARCH, weight);
    float[] ones = Naive.ones(384);
    WeightFormat format = WeightFormat.INT4_AS_INT8;
    double plainError = Naive.squaredError(weight, Stored.matrix(format.effective(plain)), ones);
    double awareError = Naive.squaredError(weight, Stored.matrix(format.effective(aware)), ones);
    assertTrue(awareError < plainError, awareError + " against " + plainError);

    float[] small = new float[384];
    Arrays.fill(small, 128, 256, 1);
    plainError = Naive.squaredError(weight, Stored.matrix(format.effective(plain)), small);
    awareError = Naive.squaredError(weight, Stored.matrix(format.effective(aware)), small);
    assertTrue(awareError < 0.97 * plainError, awareError + " against " + plainError);
  }

  @Test
  void aTensorWithOneScaleHasItInEveryRow() {
    Matrix weight = Naive.weight(150, 4, 8);
    double most = 0;
    for (int row = 0; row < 150; row++) {
      most = Math.max(most, largest(weight, row, 0, 4));
    }
    double scale = Naive.half(most / 127);
    QuantizedWeight found = round(WeightFormat.INT8_TENSOR, ScaleChoice.ABSMAX, weight);
    for (int row = 0; row < 150; row++) {
      assertEquals(scale, Stored.scale(found, row, 0));
      for (int column = 0; column < 4; column++) {
        double expected = Naive.round(weight.values()[row * 4 + column], scale, -127, 127);
        assertEquals(expected, Stored.code(found, row, column));
      }
    }
    QuantizedWeight searched = round(WeightFormat.INT8_TENSOR, ScaleChoice.SEARCH, weight);
    float[] ones = Naive.ones(4);
    assertTrue(
        Naive.squaredError(weight, Stored.matrix(searched), ones)
            <= Naive.squaredError(weight, Stored.matrix(found), ones));
    assertEquals(Stored.scale(searched, 0, 0), Stored.scale(searched, 149, 0));
  }

  @ParameterizedTest
  @EnumSource
  void rowsDoNotDependOnThreadsOrOnOtherRows(WeightFormat format) {
    Matrix weight = Naive.weight(300, 130, 9);
    QuantizedWeight one = new WeightRounding(format, ScaleChoice.SEARCH, 1).round(weight);
    QuantizedWeight three = new WeightRounding(format, ScaleChoice.SEARCH, 3).round(weight);
    assertEquals(one, three);
    if (format != WeightFormat.INT8_TENSOR) {
      Matrix part = new Matrix(50, 130, Arrays.copyOfRange(weight.values(), 201 * 130, 251 * 130));
      QuantizedWeight alone = round(format, ScaleChoice.SEARCH, part);
      assertArrayEquals(
          Arrays.copyOfRange(Stored.matrix(one).values(), 201 * 130, 251 * 130),
          Stored.matrix(alone).values());
    }
  }

  @ParameterizedTest
  @EnumSource
  void negativeRowsZerosAndTinyWeightsAreRepresented(WeightFormat format) {
    Matrix weight = new Matrix(3, 2, new float[] {-1, -3, 0, 0, 1e-9f, -1e-9f});
    for (ScaleChoice choice : ScaleChoice.values()) {
      float[] found = Stored.matrix(format.effective(round(format, choice, weight))).values();
      assertEquals(-1, found[0], 0.25);
      assertEquals(-3, found[1], 0.25);
      for (int i = 2; i < 6; i++) {
        assertEquals(0, found[i], 1e-2);
      }
    }
  }

  @Test
  void weightsThatNoScaleReachesAreRefusedByPlace() {
    for (float bad : new float[] {Float.NaN, Float.NEGATIVE_INFINITY, 70000}) {
      Matrix weight = new Matrix(2, 2, new float[] {1, 2, bad, 4});
      String message =
          assertThrows(
                  IllegalArgumentException.class,
                  () -> round(WeightFormat.INT8, ScaleChoice.SEARCH, weight))
              .getMessage();
      assertTrue(message.startsWith("weight (1, 0) is " + bad), message);
    }
  }
}
