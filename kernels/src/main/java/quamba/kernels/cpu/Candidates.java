package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The ids that may still be chosen for one row, in id order, with their logits and weights. The
 * cuts by rank find their threshold by halving, without sorting.
 */
final class Candidates {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  private static final IntVector ALL_BITS = IntVector.broadcast(IntVector.SPECIES_PREFERRED, -1);

  /** The widest search below the greatest logit before all are taken. */
  private static final float WIDEST = 1024;

  /** Weights summed together before the sum is widened. */
  private static final int BLOCK = 512;

  private final int[] ids;
  private final float[] logits;
  private final float[] weights;
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
    FloatVector shift = FloatVector.broadcast(SPECIES, greatest);
    FloatVector factor = FloatVector.broadcast(SPECIES, scale);
    int i = 0;
    for (; i <= count - LANES; i += LANES) {
      FloatVector logit = FloatVector.fromArray(SPECIES, logits, i);
      Exponential.exp(logit.sub(shift).mul(factor)).intoArray(weights, i);
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
      float weight = weights[i];
      move(i, kept);
      kept += weight >= least ? 1 : 0;
    }
    count = kept;
  }

  /** The first id at which the summed weights exceed {@code uniform} of all weight. */
  int choose(double uniform) {
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
    float greatest = maximum(logits, 0, count);
    float depth = 1;
    while (depth < WIDEST && weightFrom(greatest - depth) < wanted) {
      depth *= 2;
    }
    if (depth < WIDEST) { // mostly few are left for the exact search
      keepLogit(greatest - depth);
    }
    int threshold = threshold(wanted, key(greatest));
    float least = value(threshold);
    double left = wanted - weightFrom(value(threshold + 1));
    int kept = 0;
    for (int i = 0; i < count; i++) {
      boolean keep = logits[i] > least;
      if (logits[i] == least && left > 0) {
        left -= weights[i];
        keep = true;
      }
      move(i, kept);
      kept += keep ? 1 : 0;
    }
    count = kept;
  }

  /** The greatest key such that candidates from it on weigh at least {@code wanted}. */
  private int threshold(double wanted, int greatestKey) {
    long low = key(Float.NEGATIVE_INFINITY);
    long high = greatestKey;
    while (low < high) {
      long middle = (low + high + 1) >> 1;
      if (weightFrom(value((int) middle)) >= wanted) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return (int) low;
  }

  private void keepLogit(float least) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
      float logit = logits[i];
      move(i, kept);
      kept += logit >= least ? 1 : 0;
    }
    count = kept;
  }

  /** The summed weight of candidates with logits of at least {@code least}. */
  private float weightFrom(float least) {
    FloatVector bound = FloatVector.broadcast(SPECIES, least);
    FloatVector sums = FloatVector.zero(SPECIES);
    int i = 0;
    for (; i <= count - LANES; i += LANES) {
      FloatVector difference = FloatVector.fromArray(SPECIES, logits, i).sub(bound);
      IntVector below = difference.reinterpretAsInts().lanewise(VectorOperators.ASHR, 31);
      IntVector weight = FloatVector.fromArray(SPECIES, weights, i).reinterpretAsInts();
      IntVector kept =
          weight.lanewise(VectorOperators.AND, below.lanewise(VectorOperators.XOR, ALL_BITS));
      sums = sums.add(kept.reinterpretAsFloats());
    }
    float sum = sums.reduceLanes(VectorOperators.ADD);
    for (; i < count; i++) {
      sum += logits[i] >= least ? weights[i] : 0;
    }
    return sum;
  }

  /** An integer that orders as the float does, with both zeros alike. */
  private static int key(float value) {
    int bits = Float.floatToRawIntBits(value + 0f);
    return bits < 0 ? ~bits ^ Integer.MIN_VALUE : bits;
  }

  /** The inverse of {@link #key}. */
  private static float value(int key) {
    return Float.intBitsToFloat(key < 0 ? ~(key ^ Integer.MIN_VALUE) : key);
  }

  /** Without asking whether it is kept, which no processor predicts; the next may overwrite it. */
  private void move(int from, int to) {
    ids[to] = ids[from];
    logits[to] = logits[from];
    weights[to] = weights[from];
  }
}
