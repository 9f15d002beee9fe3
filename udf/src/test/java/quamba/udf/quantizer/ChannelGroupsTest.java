package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.Scan;

class ChannelGroupsTest {
  private static float[] statistic(int count, long seed) {
    Random random = new Random(seed);
    float[] statistic = new float[count];
    for (int i = 0; i < count; i++) {
      statistic[i] = (float) Math.exp(random.nextGaussian());
    }
    return statistic;
  }

  @ParameterizedTest
  @CsvSource({"16, 64, 1", "16, 32, 4", "3, 8, 1", "2, 64, 2", "4, 2, 1", "8, 1, 1"})
  void headsAndChannelsStayInTheirGroupAndAreSorted(int heads, int headDim, int ssmGroups) {
    Scan.Dims dims = new Scan.Dims(heads, headDim, 16, ssmGroups);
    float[] statistic = statistic(heads * headDim, heads);
    ChannelGroups found = ChannelGroups.of(dims, statistic, new WardClustering());

    int size = heads / ssmGroups;
    assertArrayEquals(
        IntStream.range(0, heads).toArray(), Arrays.stream(found.heads()).sorted().toArray());
    int groups = 0;
    for (int place = 0; place < heads; place++) {
      int head = found.heads()[place];
      assertEquals(place / size, head / size, "in its group of B and C");
      float before = 0;
      boolean[] seen = new boolean[headDim];
      for (int i = 0; i < headDim; i++) {
        int channel = found.channels()[place * headDim + i];
        assertEquals(head, channel / headDim, "in its head");
        assertTrue(statistic[channel] >= before, "ascending");
        before = statistic[channel];
        assertTrue(!seen[channel % headDim], "once");
        seen[channel % headDim] = true;
        groups = Math.max(groups, found.groups()[place * headDim + i] + 1);
      }
    }
    assertEquals(groups, found.count());
    int bundles = Math.min(4, size);
    assertEquals(ssmGroups * bundles * Math.min(4, headDim), groups);
  }

  @Test
  void headsOfLikeProfileShareScales() {
    Scan.Dims dims = new Scan.Dims(6, 8, 16, 1);
    float[] statistic = new float[48];
    for (int i = 0; i < 48; i++) {
      boolean steep = i / 8 % 2 == 1;
      statistic[i] = steep ? (i % 8 == 2 ? 100 : 1) : 5 + i % 8 * 0.01f;
    }
    Clustering two = (points, clusters) -> new WardClustering().labels(points, 2);
    ChannelGroups found = ChannelGroups.of(dims, statistic, two);

    assertArrayEquals(new int[] {0, 2, 4, 1, 3, 5}, found.heads());
    for (int place = 3; place < 6; place++) {
      assertEquals(found.heads()[place] * 8 + 2, found.channels()[place * 8 + 7]);
      assertTrue(found.groups()[place * 8 + 7] > found.groups()[place * 8 + 6], "own range");
      assertEquals(found.groups()[3 * 8 + 7], found.groups()[place * 8 + 7]);
    }
  }

  /** Noise of a bundle's sorted maxima with cuts before positions a, b and c. */
  private static double noise(double[] largest, int a, int b, int c) {
    int n = largest.length;
    double sum = 0;
    int[] cuts = {0, a, b, c, n};
    for (int i = 0; i < 4; i++) {
      double most = largest[cuts[i + 1] - 1];
      sum += (cuts[i + 1] - cuts[i]) * most * most;
    }
    return sum;
  }

  @Test
  void rangesHaveTheLeastNoiseThatThereIs() {
    int headDim = 12;
    Scan.Dims dims = new Scan.Dims(2, headDim, 16, 1);
    float[] statistic = statistic(2 * headDim, 3);
    Clustering one = (points, clusters) -> new int[points.length];
    ChannelGroups found = ChannelGroups.of(dims, statistic, one);

    double[] largest = new double[headDim];
    double[] length = new double[4];
    double[] most = new double[4];
    for (int i = 0; i < headDim; i++) {
      for (int place = 0; place < 2; place++) {
        float value = statistic[found.channels()[place * headDim + i]];
        largest[i] = Math.max(largest[i], value);
        int group = found.groups()[place * headDim + i];
        assertEquals(found.groups()[i], group, "heads of a bundle are cut alike");
        most[group] = Math.max(most[group], value);
      }
      length[found.groups()[i]]++;
    }
    double cost = 0;
    for (int range = 0; range < 4; range++) {
      cost += length[range] * most[range] * most[range];
    }
    double best = Double.POSITIVE_INFINITY;
    for (int a = 1; a < headDim; a++) {
      for (int b = a + 1; b < headDim; b++) {
        for (int c = b + 1; c < headDim; c++) {
          best = Math.min(best, noise(largest, a, b, c));
        }
      }
    }
    assertEquals(best, cost, 1e-9 * best);
  }

  @Test
  void labelsMayBeAnyNumbers() {
    Scan.Dims dims = new Scan.Dims(4, 4, 16, 1);
    Clustering odd = (points, clusters) -> new int[] {7, -1, 7, -1};
    ChannelGroups found = ChannelGroups.of(dims, statistic(16, 4), odd);
    assertArrayEquals(new int[] {0, 2, 1, 3}, found.heads());
    assertEquals(8, found.count());
  }

  @Test
  void silentHeadsAreNoProblem() {
    Scan.Dims dims = new Scan.Dims(5, 8, 16, 1);
    ChannelGroups found = ChannelGroups.of(dims, new float[40], new WardClustering());
    assertArrayEquals(
        IntStream.range(0, 40).toArray(), Arrays.stream(found.channels()).sorted().toArray());
  }

  @Test
  void anotherWidthIsRefused() {
    Scan.Dims dims = new Scan.Dims(5, 8, 16, 1);
    assertThrows(
        IllegalArgumentException.class,
        () -> ChannelGroups.of(dims, new float[39], new WardClustering()));
  }
}
