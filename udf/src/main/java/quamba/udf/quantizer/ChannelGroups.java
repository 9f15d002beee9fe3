package quamba.udf.quantizer;

import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;
import quamba.kernels.Scan;

/**
 * Sort-and-cluster (spec section 4): which channels of a Mamba2 block's x share a scale. In each
 * group of B and C the channels of every head are sorted by magnitude, heads of like profile go
 * together, up to four bundles, and the channels of each bundle are cut into up to four ranges.
 * Heads and channels are then in a new order, in which all that share a scale lie beside each
 * other.
 *
 * <p>Profiles of heads are compared after scaling to unit length, as the authors do. Their channel
 * ranges come from k-means on heads that were mixed up (spec 4.4); here a range is chosen for what
 * it costs: with one scale its rounding noise is that of its largest channel, so the cuts minimise
 * {@code Σ length · largest²} over the bundle's own heads, exactly, by dynamic programming. Ranges
 * are contiguous by construction.
 */
public final class ChannelGroups {
  private static final int MOST_BUNDLES = 4;
  private static final int MOST_RANGES = 4;

  private final int[] channels;
  private final int[] heads;
  private final int[] groups;
  private int count;

  private ChannelGroups(Scan.Dims dims) {
    channels = new int[dims.innerDim()];
    heads = new int[dims.heads()];
    groups = new int[dims.innerDim()];
  }

  /**
   * Groups the channels of one block.
   *
   * @param statistic (heads · headDim) magnitude of each channel of x after the convolution
   * @param clustering of heads
   */
  public static ChannelGroups of(Scan.Dims dims, float[] statistic, Clustering clustering) {
    if (statistic.length != dims.innerDim()) {
      throw new IllegalArgumentException(
          "a statistic of %d channels for %d".formatted(statistic.length, dims.innerDim()));
    }
    ChannelGroups result = new ChannelGroups(dims);
    int size = dims.heads() / dims.groups();
    for (int first = 0; first < dims.heads(); first += size) {
      result.addGroup(dims.headDim(), first, size, statistic, clustering);
    }
    return result;
  }

  /** Heads {@code first … first + size − 1}, which share B and C. */
  private void addGroup(
      int headDim, int first, int size, float[] statistic, Clustering clustering) {
    int[][] order = new int[size][]; // (heads, headDim): channels of a head, smallest first
    double[][] profiles = new double[size][];
    for (int head = 0; head < size; head++) {
      int at = (first + head) * headDim;
      order[head] = ascending(statistic, at, headDim);
      profiles[head] =
          Arrays.stream(order[head]).mapToDouble(channel -> statistic[channel]).toArray();
    }
    int[] labels =
        byAppearance(
            clustering.labels(
                Arrays.stream(profiles).map(ChannelGroups::unitLength).toArray(double[][]::new),
                Math.min(MOST_BUNDLES, size)));
    int place = first;
    int bundles = Arrays.stream(labels).max().orElseThrow() + 1;
    for (int bundle = 0; bundle < bundles; bundle++) {
      int label = bundle;
      int[] members = IntStream.range(0, size).filter(head -> labels[head] == label).toArray();
      int[] ranges = ranges(profiles, members, headDim);
      for (int head : members) {
        heads[place] = first + head;
        for (int i = 0; i < headDim; i++) {
          channels[place * headDim + i] = order[head][i];
          groups[place * headDim + i] = count + ranges[i];
        }
        place++;
      }
      count += ranges[headDim - 1] + 1;
    }
  }

  private static int[] ascending(float[] statistic, int at, int headDim) {
    return IntStream.range(at, at + headDim)
        .boxed()
        .sorted(Comparator.comparingDouble(channel -> statistic[channel]))
        .mapToInt(Integer::intValue)
        .toArray();
  }

  private static double[] unitLength(double[] profile) {
    double length = Math.sqrt(Arrays.stream(profile).map(x -> x * x).sum());
    return Arrays.stream(profile).map(x -> length == 0 ? 0 : x / length).toArray();
  }

  /** The same clusters, numbered 0, 1, … as they appear. */
  private static int[] byAppearance(int[] labels) {
    Map<Integer, Integer> numbers = new LinkedHashMap<>();
    int[] renumbered = new int[labels.length];
    for (int i = 0; i < labels.length; i++) {
      numbers.putIfAbsent(labels[i], numbers.size());
      renumbered[i] = numbers.get(labels[i]);
    }
    return renumbered;
  }

  /** (headDim): the range of each sorted channel of the heads {@code members}. */
  private static int[] ranges(double[][] profiles, int[] members, int headDim) {
    double[] largest = new double[headDim];
    for (int i = 0; i < headDim; i++) {
      for (int head : members) {
        largest[i] = Math.max(largest[i], profiles[head][i]);
      }
    }
    int most = Math.min(MOST_RANGES, headDim);
    double[][] costs = new double[most + 1][headDim + 1]; // of the first channels in so many ranges
    int[][] cuts = new int[most + 1][headDim + 1]; // where the last of those begins
    for (double[] row : costs) {
      Arrays.fill(row, Double.POSITIVE_INFINITY);
    }
    costs[0][0] = 0;
    for (int range = 1; range <= most; range++) {
      for (int end = range; end <= headDim; end++) {
        for (int begin = range - 1; begin < end; begin++) {
          double noise = (end - begin) * largest[end - 1] * largest[end - 1];
          double cost = costs[range - 1][begin] + noise;
          if (cost < costs[range][end]) {
            costs[range][end] = cost;
            cuts[range][end] = begin;
          }
        }
      }
    }
    int[] ranges = new int[headDim];
    for (int range = most, end = headDim; range > 0; end = cuts[range][end], range--) {
      Arrays.fill(ranges, cuts[range][end], end, range - 1);
    }
    return ranges;
  }

  /** (innerDim): which channel of the model as it was stands at each place. */
  public int[] channels() {
    return channels.clone();
  }

  /** (heads): which head of the model as it was stands at each place. */
  public int[] heads() {
    return heads.clone();
  }

  /** (innerDim): the group of the channel at each place of the new order, 0 … count − 1. */
  public int[] groups() {
    return groups.clone();
  }

  /** Groups of channels, each with a scale. */
  public int count() {
    return count;
  }
}
