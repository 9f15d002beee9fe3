package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class WardClusteringTest {
  @Test
  void findsClustersThatLieApart() {
    Random random = new Random(6);
    double[][] points = new double[40][3];
    for (int i = 0; i < points.length; i++) {
      for (int axis = 0; axis < 3; axis++) {
        points[i][axis] = (i % 4 == axis ? 10 : 0) + random.nextGaussian();
      }
    }
    int[] labels = new WardClustering().labels(points, 4);
    for (int i = 0; i < points.length; i++) {
      assertEquals(labels[i % 4], labels[i]);
    }
    assertEquals(4, Arrays.stream(labels).distinct().count());
  }

  /** Sum of squared distances to the means of the clusters. */
  private static double scatter(double[] points, int... labels) {
    double sum = 0;
    for (int label : Arrays.stream(labels).distinct().toArray()) {
      double mean = 0;
      int count = 0;
      for (int i = 0; i < points.length; i++) {
        mean += labels[i] == label ? points[i] : 0;
        count += labels[i] == label ? 1 : 0;
      }
      for (int i = 0; i < points.length; i++) {
        double distance = points[i] - mean / count;
        sum += labels[i] == label ? distance * distance : 0;
      }
    }
    return sum;
  }

  @Test
  void everyMergeAddsTheLeastScatter() {
    double[] line = {0, 1, 2.5, 7, 7.2, 12, 20, 21};
    double[][] points =
        Arrays.stream(line).mapToObj(x -> new double[] {x}).toArray(double[][]::new);
    for (int clusters = line.length - 1; clusters > 0; clusters--) {
      int[] before = new WardClustering().labels(points, clusters + 1);
      int[] after = new WardClustering().labels(points, clusters);
      double best = Double.POSITIVE_INFINITY;
      for (int a : before) {
        for (int b : before) {
          if (a != b) {
            int[] merged = Arrays.stream(before).map(label -> label == b ? a : label).toArray();
            best = Math.min(best, scatter(line, merged));
          }
        }
      }
      assertEquals(best, scatter(line, after), 1e-9);
    }
  }

  @Test
  void asManyClustersAsPointsChangeNothing() {
    double[][] points = {{1}, {1}, {2}};
    assertArrayEquals(new int[] {0, 1, 2}, new WardClustering().labels(points, 3));
    assertArrayEquals(new int[] {0, 0, 2}, new WardClustering().labels(points, 2));
  }
}
