package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Conv;

/**
 * Causal depthwise convolution and SiLU. Parts are blocks of channels: each walks over all tokens
 * with its last convWidth inputs in a ring that stays in the first-level cache.
 */
final class CpuConv {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  /** Channels of one part. */
  private static final int BLOCK = 4 * LANES;

  private final CpuThreads threads;
  private float[] scratch = new float[0]; // (threads, 2, convWidth, BLOCK): weights, ring

  CpuConv(CpuThreads threads) {
    this.threads = threads;
  }

  void run(Conv p, CpuBatch batch, CpuTensor x, CpuTensor state, CpuTensor out) {
    int channels = x.shape().dim(1);
    int convWidth = p.weight().shape().dim(1);
    int blocks = (channels + BLOCK - 1) / BLOCK;
    if (scratch.length < threads.count() * 2 * convWidth * BLOCK) {
      scratch = new float[threads.count() * 2 * convWidth * BLOCK];
    }
    threads.run(
        blocks,
        (part, thread) -> {
          int first = part * BLOCK;
          int count = Math.min(BLOCK, channels - first);
          int weightAt = thread * 2 * convWidth * BLOCK;
          transpose((CpuTensor) p.weight(), first, count, scratch, weightAt);
          for (int row = 0; row < batch.rows(); row++) {
            row(p, batch, row, x, state, out, first, count, weightAt);
          }
        });
  }

  /** Writes the weights of {@code count} channels as (convWidth, BLOCK). */
  private static void transpose(CpuTensor weight, int first, int count, float[] out, int at) {
    float[] from = weight.floats();
    int convWidth = weight.shape().dim(1);
    for (int channel = 0; channel < count; channel++) {
      int rowAt = weight.offset() + (first + channel) * weight.stride();
      for (int k = 0; k < convWidth; k++) {
        out[at + k * BLOCK + channel] = from[rowAt + k];
      }
    }
  }

  private void row(
      Conv p,
      CpuBatch batch,
      int row,
      CpuTensor x,
      CpuTensor state,
      CpuTensor out,
      int first,
      int count,
      int weightAt) {
    int convWidth = p.weight().shape().dim(1);
    int history = convWidth - 1;
    int ringAt = weightAt + convWidth * BLOCK;
    int channels = x.shape().dim(1);
    int stateAt = state.offset() + batch.slot(row) * state.stride() + first;
    for (int k = 0; k < history; k++) {
      int to = ringAt + k * BLOCK;
      if (batch.position(row) == 0) {
        Arrays.fill(scratch, to, to + count, 0);
      } else {
        System.arraycopy(state.floats(), stateAt + k * channels, scratch, to, count);
      }
    }
    CpuTensor bias = (CpuTensor) p.bias();
    int newest = history; // the ring's place of the current token
    for (int token = batch.start(row); token < batch.start(row + 1); token++) {
      int xAt = x.offset() + token * x.stride() + first;
      System.arraycopy(x.floats(), xAt, scratch, ringAt + newest * BLOCK, count);
      int outAt = out.offset() + token * out.stride() + first;
      int oldest = newest + 1 == convWidth ? 0 : newest + 1;
      token(
          scratch,
          weightAt,
          ringAt,
          oldest,
          convWidth,
          bias.floats(),
          bias.offset() + first,
          out.floats(),
          outAt,
          count);
      newest = oldest;
    }
    for (int k = 0; k < history; k++) { // newest now names the place after the last token
      int from = ringAt + (newest + 1 + k) % convWidth * BLOCK;
      System.arraycopy(scratch, from, state.floats(), stateAt + k * channels, count);
    }
  }

  /** One token of one block; the sum runs from the oldest input to the newest. */
  private static void token(
      float[] scratch,
      int weightAt,
      int ringAt,
      int oldest,
      int convWidth,
      float[] bias,
      int biasAt,
      float[] out,
      int outAt,
      int count) {
    int i = 0;
    for (; i <= count - LANES; i += LANES) {
      FloatVector sum = FloatVector.fromArray(SPECIES, bias, biasAt + i);
      int place = oldest;
      for (int k = 0; k < convWidth; k++) {
        FloatVector w = FloatVector.fromArray(SPECIES, scratch, weightAt + k * BLOCK + i);
        FloatVector input = FloatVector.fromArray(SPECIES, scratch, ringAt + place * BLOCK + i);
        sum = w.fma(input, sum);
        place = place + 1 == convWidth ? 0 : place + 1;
      }
      Exponential.silu(sum).intoArray(out, outAt + i);
    }
    for (; i < count; i++) {
      float sum = bias[biasAt + i];
      int place = oldest;
      for (int k = 0; k < convWidth; k++) {
        sum = Math.fma(scratch[weightAt + k * BLOCK + i], scratch[ringAt + place * BLOCK + i], sum);
        place = place + 1 == convWidth ? 0 : place + 1;
      }
      out[outAt + i] = Exponential.silu(sum);
    }
  }
}
