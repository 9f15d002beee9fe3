package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Conv;
import quamba.kernels.DType;

/**
 * Causal depthwise convolution and SiLU. Parts are some rows with all channels, which lie together,
 * or blocks of channels where rows are few. A vector of channels walks over a row's tokens with its
 * last inputs in registers, for the width of four that Mamba models have; other widths, and
 * channels that fill no vector, go one by one.
 */
final class CpuConv {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  /** Channels of one part where rows are few. */
  private static final int BLOCK = 4 * LANES;

  /** The width that has a vector form. */
  private static final int FOUR = 4;

  private final CpuThreads threads;
  private float[] weights = new float[0]; // (threads, FOUR, channels)

  CpuConv(CpuThreads threads) {
    this.threads = threads;
  }

  void run(Conv p, CpuBatch batch, CpuTensor x, CpuTensor state, CpuTensor out) {
    int channels = x.shape().dim(1);
    if (weights.length < threads.count() * FOUR * channels) {
      weights = new float[threads.count() * FOUR * channels];
    }
    int rowsPerPart = Math.max(1, batch.rows() / (2 * threads.count()));
    int rowParts = (batch.rows() + rowsPerPart - 1) / rowsPerPart;
    int width = rowParts >= 2 * threads.count() ? Math.max(1, channels) : BLOCK;
    boolean codes = x.dtype() == DType.I8;
    boolean four = p.weight().shape().dim(1) == FOUR && (!codes || Codes.HAS_VECTORS);
    int columnParts = (channels + width - 1) / width;
    threads.run(
        rowParts * columnParts,
        (part, thread) -> {
          int first = part % columnParts * width;
          int end = Math.min(channels, first + width);
          int vectorsEnd = four ? first + (end - first) / LANES * LANES : first;
          int at = thread * FOUR * channels;
          transpose((CpuTensor) p.weight(), first, vectorsEnd, at);
          int firstRow = part / columnParts * rowsPerPart;
          int endRow = Math.min(batch.rows(), firstRow + rowsPerPart);
          for (int row = firstRow; row < endRow; row++) {
            for (int channel = first; channel < vectorsEnd; channel += LANES) {
              if (codes) {
                ConvCodes.vector(p, batch, row, x, state, out, channel, weights, at + channel);
              } else {
                vector(p, batch, row, x, state, out, channel, at + channel);
              }
            }
            for (int channel = vectorsEnd; channel < end; channel++) {
              if (codes) {
                ConvCodes.channel(p, batch, row, x, state, out, channel);
              } else {
                channel(p, batch, row, x, state, out, channel);
              }
            }
          }
        });
  }

  /** Writes the weights of some channels as (FOUR, channels). */
  private void transpose(CpuTensor weight, int first, int end, int at) {
    float[] from = weight.floats();
    int channels = weight.shape().dim(0);
    for (int channel = first; channel < end; channel++) {
      int rowAt = weight.offset() + channel * weight.stride();
      for (int k = 0; k < FOUR; k++) {
        weights[at + k * channels + channel] = from[rowAt + k];
      }
    }
  }

  /** All tokens of a row for LANES channels. */
  private void vector(
      Conv p,
      CpuBatch batch,
      int row,
      CpuTensor x,
      CpuTensor state,
      CpuTensor out,
      int channel,
      int weightAt) {
    float[] s = state.floats();
    int channels = state.shape().dim(2);
    int stateAt = state.offset() + batch.slot(row) * state.stride() + channel;
    if (batch.position(row) == 0) {
      FloatVector zero = FloatVector.zero(SPECIES);
      zero.intoArray(s, stateAt);
      zero.intoArray(s, stateAt + channels);
      zero.intoArray(s, stateAt + 2 * channels);
    }
    float[] w = weights;
    FloatVector w0 = FloatVector.fromArray(SPECIES, w, weightAt);
    FloatVector w1 = FloatVector.fromArray(SPECIES, w, weightAt + channels);
    FloatVector w2 = FloatVector.fromArray(SPECIES, w, weightAt + 2 * channels);
    FloatVector w3 = FloatVector.fromArray(SPECIES, w, weightAt + 3 * channels);
    CpuTensor biases = (CpuTensor) p.bias();
    FloatVector bias = FloatVector.fromArray(SPECIES, biases.floats(), biases.offset() + channel);
    FloatVector x0 = FloatVector.fromArray(SPECIES, s, stateAt);
    FloatVector x1 = FloatVector.fromArray(SPECIES, s, stateAt + channels);
    FloatVector x2 = FloatVector.fromArray(SPECIES, s, stateAt + 2 * channels);
    int first = batch.start(row);
    int count = batch.start(row + 1) - first;
    float[] inputs = x.floats();
    int xStride = x.stride();
    int xAt = x.offset() + first * xStride + channel;
    float[] outputs = out.floats();
    int outStride = out.stride();
    int outAt = out.offset() + first * outStride + channel;
    for (int t = 0; t < count; t++) {
      FloatVector x3 = FloatVector.fromArray(SPECIES, inputs, xAt + t * xStride);
      FloatVector sum = w3.fma(x3, w2.fma(x2, w1.fma(x1, w0.fma(x0, bias))));
      Exponential.silu(sum).intoArray(outputs, outAt + t * outStride);
      x0 = x1;
      x1 = x2;
      x2 = x3;
    }
    x0.intoArray(s, stateAt);
    x1.intoArray(s, stateAt + channels);
    x2.intoArray(s, stateAt + 2 * channels);
  }

  /** All tokens of a row for one channel and any width. */
  private static void channel(
      Conv p, CpuBatch batch, int row, CpuTensor x, CpuTensor state, CpuTensor out, int channel) {
    CpuTensor weight = (CpuTensor) p.weight();
    CpuTensor bias = (CpuTensor) p.bias();
    int history = weight.shape().dim(1) - 1;
    int weightAt = weight.offset() + channel * weight.stride();
    float[] s = state.floats();
    int channels = state.shape().dim(2);
    int stateAt = state.offset() + batch.slot(row) * state.stride() + channel;
    boolean fresh = batch.position(row) == 0;
    for (int k = 0; fresh && k < history; k++) {
      s[stateAt + k * channels] = 0;
    }
    for (int token = batch.start(row); token < batch.start(row + 1); token++) {
      float newest = x.floats()[x.offset() + token * x.stride() + channel];
      float sum = bias.floats()[bias.offset() + channel];
      for (int k = 0; k < history; k++) {
        sum = Math.fma(weight.floats()[weightAt + k], s[stateAt + k * channels], sum);
      }
      sum = Math.fma(weight.floats()[weightAt + history], newest, sum);
      for (int k = 1; k < history; k++) {
        s[stateAt + (k - 1) * channels] = s[stateAt + k * channels];
      }
      if (history > 0) {
        s[stateAt + (history - 1) * channels] = newest;
      }
      out.floats()[out.offset() + token * out.stride() + channel] = Exponential.silu(sum);
    }
  }
}
