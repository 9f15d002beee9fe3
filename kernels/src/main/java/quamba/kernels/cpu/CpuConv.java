package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

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
  private float[] scratch = new float[0]; // (threads, 2 · convWidth + 1, BLOCK): weights, ring, out

  CpuConv(CpuThreads threads) {
    this.threads = threads;
  }

  void run(ConvCall call) {
    int channels = call.x().shape().dim(1);
    CpuTensor weight = (CpuTensor) call.p().weight();
    int convWidth = weight.shape().dim(1);
    int blocks = (channels + BLOCK - 1) / BLOCK;
    int size = (2 * convWidth + 1) * BLOCK;
    if (scratch.length < threads.count() * size) {
      scratch = new float[threads.count() * size];
    }
    threads.run(
        blocks,
        (part, thread) -> {
          int first = part * BLOCK;
          int count = Math.min(BLOCK, channels - first);
          transpose(weight, first, count, scratch, thread * size);
          for (int row = 0; row < call.batch().rows(); row++) {
            row(call, row, first, count, thread * size);
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

  private void row(ConvCall call, int row, int first, int count, int weightAt) {
    int convWidth = call.p().weight().shape().dim(1);
    int history = convWidth - 1;
    int ringAt = weightAt + convWidth * BLOCK;
    int roundedAt = ringAt + convWidth * BLOCK;
    for (int k = 0; k < history; k++) {
      int to = ringAt + k * BLOCK;
      if (call.batch().position(row) == 0) {
        Arrays.fill(scratch, to, to + count, 0);
      } else {
        call.readState(row, k, first, count, scratch, to);
      }
    }
    CpuTensor bias = (CpuTensor) call.p().bias();
    CpuTensor out = call.out();
    boolean codes = call.isCodes();
    float[] sums = codes ? scratch : out.floats();
    int newest = history; // the ring's place of the current token
    for (int token = call.batch().start(row); token < call.batch().start(row + 1); token++) {
      call.readX(token, first, count, scratch, ringAt + newest * BLOCK);
      int outAt = out.at(token) + first;
      int oldest = newest + 1 == convWidth ? 0 : newest + 1;
      token(
          scratch,
          weightAt,
          ringAt,
          oldest,
          convWidth,
          bias.floats(),
          bias.offset() + first,
          sums,
          codes ? roundedAt : outAt,
          count);
      if (codes) {
        Codes.away(sums, roundedAt, out.scales(), first, out.bytes(), outAt, count);
      }
      newest = oldest;
    }
    for (int k = 0; k < history; k++) { // newest now names the place after the last token
      int from = ringAt + (newest + 1 + k) % convWidth * BLOCK;
      call.writeState(row, k, first, count, scratch, from);
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
