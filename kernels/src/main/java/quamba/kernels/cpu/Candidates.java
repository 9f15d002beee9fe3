package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The ids that may still be chosen for one row, in id order, with their logits and weights. The
 * cuts by rank find their threshold digit by digit, as a radix sort would, without sorting.
 */
final class Candidates {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  /** Digits of an order key from the highest: 11, 11 and 10 bits. */
  private static final int[] DIGIT_BITS = {11, 11, 10};

  /** Weights summed together before the sum is widened. */
  private static final int BLOCK = 512;

  private final int[] ids;
  private final float[] logits;
  private final float[] weights;
  private final double[] bins = new double[1 << 11];
  private int count;

  Candidates(int vocab) {
    ids = new int[vocab];
    logits = new float[vocab];
    weights = new float[vocab];
  }

  /** Starts over with all of {@code source[at … at + vocab)}. */
  void fill(float[] source, int at) {
    count = ids.length;
    System.arraycopy(source, at, logits, 0, count);
    for (int i = 0; i < count; i++) {
      ids[i] = i;
    }
  }

  /** Before any cut: divides positive logits of seen ids by {@code penalty}, multiplies others. */
  void penalize(byte[] seen, int at, float penalty) {
    for (int i = 0; i < count; i++) {
      if (seen[at + i] != 0) {
        logits[i] = logits[i] > 0 ? logits[i] / penalty : logits[i] * penalty;
      }
    }
  }

  /** The id of the greatest logit, of equal ones the lowest. */
  int greatest() {
    return greatest(logits, 0, count);
  }

  /** The index, from {@code at} on, of the greatest of {@code count} values, the first if equal. */
  static int greatest(float[] values, int at, int count) {
    float greatest = maximum(values, at, count);
    int i = 0;
    while (i <= count - LANES
        && !FloatVector.fromArray(SPECIES, values, at + i)
            .compare(VectorOperators.EQ, greatest)
            .anyTrue()) {
      i += LANES;
    }
    while (i < count && values[at + i] != greatest) {
      i++;
    }
    return i == count ? 0 : i; // nothing equals the greatest if all are NaN
  }

  private static float maximum(float[] values, int at, int count) {
    FloatVector best = FloatVector.broadcast(SPECIES, Float.NEGATIVE_INFINITY);
    int i = 0;
    for (; i <= count - LANES; i += LANES) {
      FloatVector next = FloatVector.fromArray(SPECIES, values, at + i);
      best = best.blend(next, next.compare(VectorOperators.GT, best));
    }
    float greatest = best.reduceLanes(VectorOperators.MAX);
    for (; i < count; i++) {
      greatest = values[at + i] > greatest ? values[at + i] : greatest;
    }
    return greatest;
  }

  /** Keeps the {@code k} greatest logits. */
  void keepCount(int k) {
    if (k < count) {
      Arrays.fill(weights, 0, count, 1);
      keepHeaviest(k);
    }
  }

  /** Weighs each candidate {@code exp((logit − greatest) / temperature)}. */
  void weigh(float temperature) {
    float greatest = maximum(logits, 0, count);
    float scale = 1 / temperature;
    int i = 0;
    for (; i <= count - LANES; i += LANES) {
      Exponential.exp(FloatVector.fromArray(SPECIES, logits, i).sub(greatest).mul(scale))
          .intoArray(weights, i);
    }
    for (; i < count; i++) {
      weights[i] = Exponential.exp((logits[i] - greatest) * scale);
    }
  }

  /** Keeps the greatest logits whose weights together first reach {@code share} of all weight. */
  void keepShare(float share) {
    keepHeaviest(Math.max(share * total(), Double.MIN_VALUE));
  }

  /** Keeps weights of at least {@code least}; the greatest weight is 1. */
  void keepWeight(float least) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
      if (weights[i] >= least) {
        move(i, kept++);
      }
    }
    count = kept;
  }

  /** The first id at which the summed weights exceed {@code uniform} of all weight. */
  int choose(float uniform) {
    double left = uniform * total();
    int block = 0;
    while (block + BLOCK < count && blockSum(block) <= left) {
      left -= blockSum(block);
      block += BLOCK;
    }
    int last = Math.min(count, block + BLOCK) - 1;
    int i = block;
    while (i < last && weights[i] <= left) {
      left -= weights[i];
      i++;
    }
    return ids[i];
  }

  private double total() {
    double total = 0;
    for (int block = 0; block < count; block += BLOCK) {
      total += blockSum(block);
    }
    return total;
  }

  private float blockSum(int from) {
    int end = Math.min(count, from + BLOCK);
    FloatVector sums = FloatVector.zero(SPECIES);
    int i = from;
    for (; i <= end - LANES; i += LANES) {
      sums = sums.add(FloatVector.fromArray(SPECIES, weights, i));
    }
    float sum = sums.reduceLanes(VectorOperators.ADD);
    for (; i < end; i++) {
      sum += weights[i];
    }
    return sum;
  }

  /** Keeps the greatest logits whose weights together first reach {@code wanted}, above 0. */
  private void keepHeaviest(double wanted) {
    double left = wanted;
    int threshold = 0;
    int shift = Integer.SIZE;
    for (int bits : DIGIT_BITS) {
      int above = shift;
      shift -= bits;
      int digits = 1 << bits;
      Arrays.fill(bins, 0, digits, 0);
      for (int i = 0; i < count; i++) {
        int key = key(logits[i]);
        if (above == Integer.SIZE || key >>> above == threshold) {
          bins[key >>> shift & digits - 1] += weights[i];
        }
      }
      int digit = digits - 1;
      while (digit > 0 && bins[digit] < left) {
        left -= bins[digit];
        digit--;
      }
      threshold = threshold << bits | digit;
    }
    int kept = 0;
    for (int i = 0; i < count; i++) {
      int order = Integer.compareUnsigned(key(logits[i]), threshold);
      if (order > 0 || (order == 0 && left > 0)) {
        left -= order == 0 ? weights[i] : 0;
        move(i, kept++);
      }
    }
    count = kept;
  }

  /** An unsigned integer that orders as the float does, with both zeros alike. */
  private static int key(float value) {
    int bits = Float.floatToRawIntBits(value + 0f);
    return bits < 0 ? ~bits : bits | Integer.MIN_VALUE;
  }

  private void move(int from, int to) {
    ids[to] = ids[from];
    logits[to] = logits[from];
    weights[to] = weights[from];
  }
}
