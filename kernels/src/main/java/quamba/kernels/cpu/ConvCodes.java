package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Conv;

/**
 * The convolution of codes, as {@link CpuConv} goes about it. A kept input comes back as the code
 * that it was: code · scale / scale is off by far less than a half.
 */
final class ConvCodes {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  private ConvCodes() {}

  /** All tokens of a row for a vector of channels; weights (4, channels) from weightAt on. */
  static void vector(
      Conv p,
      CpuBatch batch,
      int row,
      CpuTensor x,
      CpuTensor state,
      CpuTensor out,
      int channel,
      float[] weights,
      int weightAt) {
    byte[] s = state.bytes();
    int channels = state.shape().dim(2);
    int stateAt = state.at(batch.slot(row)) + channel;
    for (int k = 0; batch.position(row) == 0 && k < 3; k++) {
      int at = stateAt + k * channels;
      Arrays.fill(s, at, at + SPECIES.length(), (byte) 0);
    }
    FloatVector scale = x.scales().vector(channel);
    FloatVector outScale = out.scales().vector(channel);
    FloatVector w0 = FloatVector.fromArray(SPECIES, weights, weightAt);
    FloatVector w1 = FloatVector.fromArray(SPECIES, weights, weightAt + channels);
    FloatVector w2 = FloatVector.fromArray(SPECIES, weights, weightAt + 2 * channels);
    FloatVector w3 = FloatVector.fromArray(SPECIES, weights, weightAt + 3 * channels);
    CpuTensor biases = (CpuTensor) p.bias();
    FloatVector bias = FloatVector.fromArray(SPECIES, biases.floats(), biases.offset() + channel);
    FloatVector x0 = Codes.load(s, stateAt).mul(scale);
    FloatVector x1 = Codes.load(s, stateAt + channels).mul(scale);
    FloatVector x2 = Codes.load(s, stateAt + 2 * channels).mul(scale);
    for (int token = batch.start(row); token < batch.start(row + 1); token++) {
      FloatVector x3 = Codes.load(x.bytes(), x.at(token) + channel).mul(scale);
      FloatVector sum = w3.fma(x3, w2.fma(x2, w1.fma(x1, w0.fma(x0, bias))));
      FloatVector y = Exponential.silu(sum);
      Codes.storeAway(y.div(outScale), out.bytes(), out.at(token) + channel);
      x0 = x1;
      x1 = x2;
      x2 = x3;
    }
    Codes.storeEven(x0.div(scale), s, stateAt);
    Codes.storeEven(x1.div(scale), s, stateAt + channels);
    Codes.storeEven(x2.div(scale), s, stateAt + 2 * channels);
  }

  /** All tokens of a row for one channel and any width. */
  static void channel(
      Conv p, CpuBatch batch, int row, CpuTensor x, CpuTensor state, CpuTensor out, int channel) {
    CpuTensor weight = (CpuTensor) p.weight();
    CpuTensor bias = (CpuTensor) p.bias();
    int history = weight.shape().dim(1) - 1;
    int weightAt = weight.at(channel);
    byte[] s = state.bytes();
    int channels = state.shape().dim(2);
    int stateAt = state.at(batch.slot(row)) + channel;
    float scale = x.scales().of(channel);
    boolean fresh = batch.position(row) == 0;
    for (int k = 0; fresh && k < history; k++) {
      s[stateAt + k * channels] = 0;
    }
    for (int token = batch.start(row); token < batch.start(row + 1); token++) {
      byte newest = x.bytes()[x.at(token) + channel];
      float sum = bias.floats()[bias.offset() + channel];
      for (int k = 0; k < history; k++) {
        float input = s[stateAt + k * channels] * scale;
        sum = Math.fma(weight.floats()[weightAt + k], input, sum);
      }
      sum = Math.fma(weight.floats()[weightAt + history], newest * scale, sum);
      for (int k = 1; k < history; k++) {
        s[stateAt + (k - 1) * channels] = s[stateAt + k * channels];
      }
      if (history > 0) {
        s[stateAt + (history - 1) * channels] = newest;
      }
      float y = Exponential.silu(sum) / out.scales().of(channel);
      out.bytes()[out.at(token) + channel] = Codes.away(y);
    }
  }
}
