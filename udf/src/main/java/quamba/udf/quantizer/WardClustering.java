package quamba.udf.quantizer;

import java.util.Arrays;

/**
 * Agglomerative clustering after Ward (1963), as the authors cluster heads: each point begins as a
 * cluster, and the two clusters a, b of which {@code |a||b| / (|a| + |b|) · ‖mean a − mean b‖²} is
 * least become one until as few are left as wanted; the first pair of equals. Deterministic.
 */
public final class WardClustering implements Clustering {
  @Override
  public int[] labels(double[][] points, int clusters) {
    double[][] means = new double[points.length][];
    int[] sizes = new int[points.length];
    int[] labels = new int[points.length];
    for (int i = 0; i < points.length; i++) {
      means[i] = points[i].clone();
      sizes[i] = 1;
      labels[i] = i;
    }
    for (int left = points.length; left > clusters; left--) {
      int[] pair = nearest(means, sizes);
      merge(means, sizes, pair[0], pair[1]);
      for (int i = 0; i < labels.length; i++) {
        labels[i] = labels[i] == pair[1] ? pair[0] : labels[i];
      }
    }
    return labels;
  }

  private static int[] nearest(double[][] means, int[] sizes) {
    double least = Double.POSITIVE_INFINITY;
    int[] pair = {0, 0};
    for (int a = 0; a < means.length; a++) {
      for (int b = a + 1; b < means.length; b++) {
        if (sizes[a] > 0 && sizes[b] > 0) {
          double cost = distance(means[a], means[b]) * sizes[a] * sizes[b] / (sizes[a] + sizes[b]);
          if (cost < least) {
            least = cost;
            pair = new int[] {a, b};
          }
        }
      }
    }
    return pair;
  }

  private static double distance(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return sum;
  }

  private static void merge(double[][] means, int[] sizes, int a, int b) {
    Arrays.setAll(
        means[a], i -> (means[a][i] * sizes[a] + means[b][i] * sizes[b]) / (sizes[a] + sizes[b]));
    sizes[a] += sizes[b];
    sizes[b] = 0;
  }
}
