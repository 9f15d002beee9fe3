package quamba.udf.quantizer;

/** Sorts points into clusters. */
@FunctionalInterface
public interface Clustering {
  /**
   * Labels of the points, any integers: equal within a cluster.
   *
   * @param points (count, features)
   * @param clusters the most clusters, at most the number of points
   */
  int[] labels(double[][] points, int clusters);
}
