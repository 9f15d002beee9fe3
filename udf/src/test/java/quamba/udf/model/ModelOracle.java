package quamba.udf.model;

import java.util.Arrays;
import java.util.Set;
import quamba.kernels.Hadamard;
import quamba.kernels.Scan;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.QuantizedNames.Tap;

/**
 * Mamba1 and Mamba2 in double precision, one token at a time, as plain loops over the papers'
 * formulas.
 */
final class ModelOracle {
  /** A model's configuration and the exact values of its tensors. */
  interface Values {
    ModelConfig parsed();

    Set<String> names();

    double[] values(String name);
  }

  /** What becomes of activations on their way. */
  interface Taps {
    /** Nothing. */
    Taps NONE = (layer, tap, values) -> values;

    /** What flows on where {@code values} flow through {@code tap} of a layer. */
    double[] pass(int layer, Tap tap, double[] values);

    /** What the head reads of {@code values}. */
    default double[] head(double[] values) {
      return values;
    }
  }

  private final Values model;
  private final Taps taps;
  private final ModelConfig config;
  private final double[][] convState; // per layer: (convWidth, channels), newest last
  private final double[][] scanState; // per layer: (heads, headDim, stateDim)

  private int seen; // tokens

  ModelOracle(Values model, Taps taps) {
    this.model = model;
    this.taps = taps;
    config = model.parsed();
    Scan.Dims dims = config.mixer().dims();
    convState =
        new double[config.layers()][config.mixer().convWidth() * config.mixer().convChannels()];
    scanState = new double[config.layers()][dims.innerDim() * dims.stateDim()];
  }

  /** Logits (tokens, vocabulary rows) after each of {@code ids}, from an empty state. */
  static double[][] logits(Values model, Taps taps, int... ids) {
    ModelOracle oracle = new ModelOracle(model, taps);
    double[][] logits = new double[ids.length][];
    for (int token = 0; token < ids.length; token++) {
      logits[token] = oracle.next(ids[token]);
    }
    return logits;
  }

  private double[] next(int id) {
    int dim = config.modelDim();
    double[] table = model.values("backbone.embedding.weight");
    double[] residual = new double[dim];
    for (int i = 0; i < dim; i++) {
      residual[i] = table[id * dim + i];
    }
    for (int layer = 0; layer < config.layers(); layer++) {
      String name = "backbone.layers." + layer + ".";
      double[] normed = norm(residual, name + "norm.weight", 1);
      double[] u = taps.pass(layer, Tap.IN_PROJ_INPUT, normed);
      double[] out =
          config.mixer() instanceof Mamba1 mamba1
              ? mamba1(mamba1, layer, name + "mixer.", u)
              : mamba2((Mamba2) config.mixer(), layer, name + "mixer.", u);
      for (int i = 0; i < dim; i++) {
        residual[i] += out[i];
      }
    }
    seen++;
    boolean own = model.names().contains("lm_head.weight");
    double[] last = taps.head(norm(residual, "backbone.norm_f.weight", 1));
    return matrix(own ? "lm_head.weight" : "backbone.embedding.weight", last);
  }

  private double[] mamba1(Mamba1 mixer, int layer, String name, double[] u) {
    int inner = mixer.dims().heads();
    int states = mixer.dims().stateDim();
    double[] xz = matrix(name + "in_proj.weight", u);
    double[] z = taps.pass(layer, Tap.Z, part(xz, inner, inner));
    double[] in = taps.pass(layer, Tap.X_IN, part(xz, 0, inner));
    double[] x = taps.pass(layer, Tap.X_OUT, conv(layer, name, in));
    double[] selected = matrix(name + "x_proj.weight", x);
    double[] low = taps.pass(layer, Tap.DT_PROJ_INPUT, part(selected, 0, mixer.dtRank()));
    double[] dt = taps.pass(layer, Tap.DT, matrix(name + "dt_proj.weight", low));
    double[] b = taps.pass(layer, Tap.B_OUT, part(selected, mixer.dtRank(), states));
    double[] c = taps.pass(layer, Tap.C_OUT, part(selected, mixer.dtRank() + states, states));
    double[] y = new double[inner];
    for (int channel = 0; channel < inner; channel++) {
      double step = softplus(dt[channel] + model.values(name + "dt_proj.bias")[channel]);
      y[channel] = model.values(name + "D")[channel] * x[channel];
      for (int n = 0; n < states; n++) {
        int at = channel * states + n;
        double a = -Math.exp(model.values(name + "A_log")[at]);
        double[] s = scanState[layer];
        s[at] = Math.exp(step * a) * s[at] + step * b[n] * x[channel];
        y[channel] += c[n] * s[at];
      }
      y[channel] *= silu(z[channel]);
    }
    return out(layer, name, y);
  }

  private double[] mamba2(Mamba2 mixer, int layer, String name, double[] u) {
    Scan.Dims dims = mixer.dims();
    int inner = dims.innerDim();
    int states = dims.stateDim();
    int bc = dims.groups() * states;
    double[] projected = matrix(name + "in_proj.weight", u);
    double[] z = taps.pass(layer, Tap.Z, part(projected, 0, inner));
    double[] x = taps.pass(layer, Tap.X_IN, part(projected, inner, inner));
    double[] b = taps.pass(layer, Tap.B_IN, part(projected, 2 * inner, bc));
    double[] c = taps.pass(layer, Tap.C_IN, part(projected, 2 * inner + bc, bc));
    double[] convolved = conv(layer, name, joined(x, b, c));
    x = taps.pass(layer, Tap.X_OUT, part(convolved, 0, inner));
    b = taps.pass(layer, Tap.B_OUT, part(convolved, inner, bc));
    c = taps.pass(layer, Tap.C_OUT, part(convolved, inner + bc, bc));
    double[] raw = part(projected, 2 * inner + 2 * bc, dims.heads());
    double[] dt = taps.pass(layer, Tap.DT, raw);
    double[] y = new double[inner];
    for (int head = 0; head < dims.heads(); head++) {
      int group = head / (dims.heads() / dims.groups());
      double step = softplus(dt[head] + model.values(name + "dt_bias")[head]);
      step = Math.min(Math.max(step, mixer.limit().min()), mixer.limit().max());
      double decay = Math.exp(step * -Math.exp(model.values(name + "A_log")[head]));
      for (int p = 0; p < dims.headDim(); p++) {
        int channel = head * dims.headDim() + p;
        y[channel] = model.values(name + "D")[head] * x[channel];
        for (int n = 0; n < states; n++) {
          double[] s = scanState[layer];
          int at = channel * states + n;
          s[at] = decay * s[at] + step * x[channel] * b[group * states + n];
          y[channel] += s[at] * c[group * states + n];
        }
        y[channel] *= silu(z[channel]);
      }
    }
    return out(layer, name, norm(y, name + "norm.weight", dims.groups()));
  }

  /** The end of both; the state is kept as its tap has it after every 16 tokens. */
  private double[] out(int layer, String name, double[] y) {
    if ((seen + 1) % 16 == 0) {
      scanState[layer] = taps.pass(layer, Tap.STATE, scanState[layer]);
    }
    double[] rotated = y.clone();
    if (config.quantization().rotation() == Quantization.Rotation.HADAMARD) {
      Hadamard.of(y.length).apply(rotated, 0);
    }
    return matrix(name + "out_proj.weight", taps.pass(layer, Tap.OUT_PROJ_INPUT, rotated));
  }

  private static double[] joined(double[]... parts) {
    return Arrays.stream(parts).flatMapToDouble(Arrays::stream).toArray();
  }

  private double[] conv(int layer, String name, double[] x) {
    double[] state = convState[layer];
    int channels = x.length;
    int width = config.mixer().convWidth();
    System.arraycopy(state, channels, state, 0, (width - 1) * channels);
    System.arraycopy(x, 0, state, (width - 1) * channels, channels);
    double[] out = new double[channels];
    for (int channel = 0; channel < channels; channel++) {
      double sum = model.values(name + "conv1d.bias")[channel];
      for (int k = 0; k < width; k++) {
        double weight = model.values(name + "conv1d.weight")[channel * width + k];
        sum += weight * state[k * channels + channel];
      }
      out[channel] = silu(sum);
    }
    return out;
  }

  private double[] norm(double[] x, String name, int groups) {
    int width = x.length / groups;
    double[] out = new double[x.length];
    for (int group = 0; group < groups; group++) {
      double square = 0;
      for (int i = group * width; i < (group + 1) * width; i++) {
        square += x[i] * x[i];
      }
      for (int i = group * width; i < (group + 1) * width; i++) {
        out[i] = x[i] / Math.sqrt(square / width + config.epsilon()) * model.values(name)[i];
      }
    }
    return out;
  }

  private double[] matrix(String name, double[] x) {
    double[] weight = model.values(name);
    double[] out = new double[weight.length / x.length];
    for (int row = 0; row < out.length; row++) {
      for (int i = 0; i < x.length; i++) {
        out[row] += weight[row * x.length + i] * x[i];
      }
    }
    return out;
  }

  private static double[] part(double[] x, int first, int count) {
    double[] out = new double[count];
    System.arraycopy(x, first, out, 0, count);
    return out;
  }

  private static double silu(double x) {
    return x / (1 + Math.exp(-x));
  }

  private static double softplus(double x) {
    return Math.log1p(Math.exp(x));
  }
}
