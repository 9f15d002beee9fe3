package quamba.udf.calibration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import quamba.udf.model.QuantizedNames.Tap;

class MomentsTest {
  private static final int COLUMNS = 37;
  private static final Site SITE = new Site(3, Tap.OUT_PROJ_INPUT);

  /** Columns of very different sizes. */
  private static List<float[]> samples() {
    Random random = new Random(5);
    List<float[]> samples = new ArrayList<>();
    for (int sample = 0; sample < 9; sample++) {
      float[] values = new float[(11 + sample) * COLUMNS];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (random.nextGaussian() * Math.pow(2, i % COLUMNS - 18));
      }
      samples.add(values);
    }
    return samples;
  }

  private static float[] most() {
    Ranges ranges = new Ranges(Set.of(SITE.tap()));
    samples().forEach(it -> ranges.saw(SITE, it.length / COLUMNS, it));
    return ranges.of(SITE).most();
  }

  private static MomentsBySite moments(List<float[]> samples) {
    MomentsBySite moments = new MomentsBySite(Map.of(SITE, most()));
    samples.forEach(it -> moments.saw(SITE, it.length / COLUMNS, it));
    return moments;
  }

  @Test
  void sumsAreTheSameInAnyOrder() {
    List<float[]> samples = samples();
    List<float[]> reversed = new ArrayList<>();
    samples.forEach(it -> reversed.add(0, it));
    double[] once = moments(samples).of(SITE).hessian();
    assertArrayEquals(once, moments(reversed).of(SITE).hessian());
    MomentsBySite parts = moments(samples.subList(4, 9));
    parts.add(moments(samples.subList(0, 2))).add(moments(samples.subList(2, 4)));
    assertArrayEquals(once, parts.of(SITE).hessian());
  }

  @Test
  void sumsAreThoseOfProducts() {
    double[] expected = new double[COLUMNS * COLUMNS];
    int tokens = 0;
    for (float[] sample : samples()) {
      for (int at = 0; at < sample.length; at += COLUMNS) {
        tokens++;
        for (int i = 0; i < expected.length; i++) {
          expected[i] += (double) sample[at + i / COLUMNS] * sample[at + i % COLUMNS];
        }
      }
    }
    double[] found = moments(samples()).of(SITE).hessian();
    for (int i = 0; i < expected.length; i++) {
      // Relative to what the two columns could give at most: 24 bits, and 2^-20 of a sample.
      double size =
          Math.sqrt(expected[i / COLUMNS * (COLUMNS + 1)] * expected[i % COLUMNS * (COLUMNS + 1)]);
      assertEquals(2 * expected[i] / tokens, found[i], 1e-6 * 2 * size / tokens, "element " + i);
    }
  }

  @Test
  void rangesAreTheSameInAnyOrder() {
    List<float[]> samples = samples();
    Ranges forward = new Ranges(Set.of(SITE.tap()));
    samples.forEach(it -> forward.saw(SITE, it.length / COLUMNS, it));
    Ranges backward = new Ranges(Set.of(SITE.tap()));
    for (int i = samples.size() - 1; i >= 0; i--) {
      Ranges one = new Ranges(Set.of(SITE.tap()));
      one.saw(SITE, samples.get(i).length / COLUMNS, samples.get(i));
      backward.add(one);
    }
    Range expected = forward.of(SITE);
    Range found = backward.of(SITE);
    assertArrayEquals(expected.most(), found.most());
    assertArrayEquals(expected.mean(), found.mean());
    assertEquals(expected.error(0.5f, 127), found.error(0.5f, 127));
    assertEquals(expected.shareAbove(1), found.shareAbove(1));
  }

  @Test
  void errorCountsRoundingAndClipping() {
    Range range = new Range(1);
    Random random = new Random(2);
    float[] values = new float[100_000];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    range.add(values.length, values);
    for (float scale : new float[] {0.005f, 0.02f, 0.04f}) {
      double sum = 0;
      for (float value : values) {
        double code = Math.max(-127, Math.min(127, Math.rint(value / scale)));
        sum += Math.pow(value - code * scale, 2);
      }
      double expected = sum / values.length;
      assertEquals(expected, range.error(scale, 127), 0.1 * expected, "scale " + scale);
    }
  }
}
