package quamba.kernels;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * The operations in plain double-precision loops, for whole sequences from a zero state. Matrices
 * are row-major arrays.
 */
public final class Oracle {
  private Oracle() {}

  /** {@code x (rows, in) · weight (out, in)ᵀ}. */
  public static double[] linear(float[] x, float[] weight, int rows, int in, int out) {
    double[] y = new double[rows * out];
    for (int row = 0; row < rows; row++) {
      for (int o = 0; o < out; o++) {
        for (int i = 0; i < in; i++) {
          y[row * out + o] += (double) x[row * in + i] * weight[o * in + i];
        }
      }
    }
    return y;
  }

  /** Root-mean-square norm of each of {@code groups} equal parts of one row. */
  public static double[] norm(double[] x, float[] weight, float epsilon, int groups) {
    double[] y = new double[x.length];
    int width = x.length / groups;
    for (int group = 0; group < groups; group++) {
      double square = 0;
      for (int i = group * width; i < (group + 1) * width; i++) {
        square += x[i] * x[i];
      }
      for (int i = group * width; i < (group + 1) * width; i++) {
        y[i] = x[i] / Math.sqrt(square / width + epsilon) * weight[i];
      }
    }
    return y;
  }

  /** {@code x / (1 + e^-x)}. */
  public static double silu(double x) {
    return x / (1 + Math.exp(-x));
  }

  /** As the papers' code has it. */
  public static double softplus(double v) {
    return v <= 20 ? Math.log1p(Math.exp(v)) : v;
  }

  /** One sequence {@code x (tokens, channels)}; weight (channels, convWidth). */
  public static double[] conv(float[] x, float[] weight, float[] bias, int channels) {
    int tokens = x.length / channels;
    int convWidth = weight.length / channels;
    double[] y = new double[x.length];
    for (int token = 0; token < tokens; token++) {
      for (int channel = 0; channel < channels; channel++) {
        double sum = bias[channel];
        for (int k = 0; k < convWidth; k++) {
          int source = token - convWidth + 1 + k;
          if (source >= 0) {
            sum += (double) weight[channel * convWidth + k] * x[source * channels + channel];
          }
        }
        y[token * channels + channel] = silu(sum);
      }
    }
    return y;
  }

  /** The weights of a scan on the host; {@code a} (heads) or (heads, stateDim). */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  public record ScanWeights(float[] a, float[] dtBias, float[] skip) {}

  /** The inputs of one sequence: x (tokens, innerDim), dt (tokens, heads), b, c. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  public record ScanInputs(float[] x, float[] dt, float[] b, float[] c) {}

  /** Rounds a state where it is kept: the stateDim elements of one channel. */
  public interface StateRounder {
    /** For a state that is kept as it is. */
    StateRounder NONE = (elements, channel) -> elements;

    /** What is kept of {@code elements} of {@code channel}, head · headDim + place in the head. */
    double[] round(double[] elements, int channel);
  }

  /** One sequence's y (tokens, innerDim). */
  public static double[] scan(
      ScanWeights weights, Scan.Dims dims, Scan.Limit limit, ScanInputs inputs) {
    return scan(weights, dims, limit, inputs, StateRounder.NONE);
  }

  /** One sequence's y (tokens, innerDim), the state rounded after every 16 tokens. */
  public static double[] scan(
      ScanWeights weights,
      Scan.Dims dims,
      Scan.Limit limit,
      ScanInputs inputs,
      StateRounder rounder) {
    int heads = dims.heads();
    int headDim = dims.headDim();
    int stateDim = dims.stateDim();
    int tokens = inputs.dt().length / heads;
    double[] y = new double[inputs.x().length];
    for (int head = 0; head < heads; head++) {
      int group = head / (heads / dims.groups());
      double[] state = new double[headDim * stateDim];
      for (int token = 0; token < tokens; token++) {
        double raw = (double) inputs.dt()[token * heads + head] + weights.dtBias()[head];
        double dt = Math.min(limit.max(), Math.max(limit.min(), softplus(raw)));
        for (int p = 0; p < headDim; p++) {
          int at = token * dims.innerDim() + head * headDim + p;
          double x = inputs.x()[at];
          double sum = weights.skip()[head] * x;
          for (int n = 0; n < stateDim; n++) {
            int bc = (token * dims.groups() + group) * stateDim + n;
            boolean perState = weights.a().length > heads;
            double a = weights.a()[perState ? head * stateDim + n : head];
            double old = state[p * stateDim + n];
            state[p * stateDim + n] = Math.exp(dt * a) * old + dt * x * inputs.b()[bc];
            sum += state[p * stateDim + n] * inputs.c()[bc];
          }
          y[at] = sum;
          if ((token + 1) % 16 == 0) {
            double[] channel = Arrays.copyOfRange(state, p * stateDim, (p + 1) * stateDim);
            double[] kept = rounder.round(channel, head * headDim + p);
            System.arraycopy(kept, 0, state, p * stateDim, stateDim);
          }
        }
      }
    }
    return y;
  }

  /** A row of {@link Sample#options()}. */
  public record SampleOptions(
      float temperature, int topK, float topP, float minP, float repetitionPenalty) {
    /** The highest logit. */
    public static final SampleOptions GREEDY = new SampleOptions(0, 0, 1, 0, 1);

    /** The whole distribution. */
    public static final SampleOptions PLAIN = new SampleOptions(1, 0, 1, 0, 1);
  }

  /** The probability of each id. */
  public static double[] distribution(float[] logits, boolean[] seen, SampleOptions options) {
    int vocab = seen.length;
    double[] score = new double[vocab];
    for (int id = 0; id < vocab; id++) {
      double penalty = seen[id] ? options.repetitionPenalty() : 1;
      score[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
    }
    Integer[] order = IntStream.range(0, vocab).boxed().toArray(Integer[]::new);
    Arrays.sort(order, Comparator.comparingDouble((Integer id) -> -score[id])); // stable
    double[] probability = new double[vocab];
    if (options.temperature() == 0) {
      probability[order[0]] = 1;
      return probability;
    }
    int kept = options.topK() > 0 ? Math.min(vocab, options.topK()) : vocab;
    double total = 0;
    for (int rank = 0; rank < kept; rank++) {
      int id = order[rank];
      probability[id] = Math.exp((score[id] - score[order[0]]) / options.temperature());
      total += probability[id];
    }
    double before = 0;
    for (int rank = 0; rank < kept; rank++) {
      int id = order[rank];
      double own = probability[id];
      boolean dropped = rank > 0 && before >= options.topP() * total && options.topP() < 1;
      if (dropped || own < options.minP()) {
        probability[id] = 0;
      }
      before += own;
    }
    double left = Arrays.stream(probability).sum();
    return Arrays.stream(probability).map(p -> p / left).toArray();
  }

  /** The first id, in id order, at which the summed probability exceeds {@code uniform}. */
  public static int choose(double[] distribution, double uniform) {
    double sum = 0;
    int last = 0;
    for (int id = 0; id < distribution.length; id++) {
      sum += distribution[id];
      if (distribution[id] > 0) {
        last = id;
        if (sum > uniform) {
          return id;
        }
      }
    }
    return last;
  }

  /** Philox4x32-10, with unbounded integers cut to 32 bits. */
  public static long[] philox(long[] counter, long[] key) {
    long[] c = counter.clone();
    long[] k = key.clone();
    long mask = 0xFFFFFFFFL;
    for (int round = 0; round < 10; round++) {
      long p0 = c[0] * 0xD2511F53L;
      long p1 = c[2] * 0xCD9E8D57L;
      c = new long[] {(p1 >>> 32) ^ c[1] ^ k[0], p1 & mask, (p0 >>> 32) ^ c[3] ^ k[1], p0 & mask};
      k[0] = (k[0] + 0x9E3779B9L) & mask;
      k[1] = (k[1] + 0xBB67AE85L) & mask;
    }
    return c;
  }

  /** The value of an IEEE 754 binary16 number. */
  public static double half(int bits) {
    double sign = (bits & 0x8000) == 0 ? 1 : -1;
    int exponent = (bits >> 10) & 31;
    int fraction = bits & 1023;
    if (exponent == 31) {
      return fraction == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN;
    }
    return exponent == 0
        ? sign * fraction * 0x1p-24
        : sign * (1 + fraction / 1024.0) * Math.pow(2, exponent - 15);
  }
}
