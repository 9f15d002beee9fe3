package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Scan;

/**
 * The recurrence with heads of one channel and an {@code a} for each state (Mamba1). Lanes are
 * channels. Parts are blocks of one vector of channels, for all rows. Within a slot the state lies
 * as (blocks, stateDim, channels of the block).
 */
final class ScanChannels {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  private final CpuThreads threads;
  private float[] scratch = new float[0]; // (threads, stateDim, LANES): a of the block

  ScanChannels(CpuThreads threads) {
    this.threads = threads;
  }

  void run(
      Scan p,
      CpuBatch batch,
      CpuTensor x,
      CpuTensor dt,
      CpuTensor b,
      CpuTensor c,
      CpuTensor state,
      CpuTensor out) {
    int heads = p.dims().heads();
    int stateDim = p.dims().stateDim();
    if (scratch.length < threads.count() * stateDim * LANES) {
      scratch = new float[threads.count() * stateDim * LANES];
    }
    threads.run(
        (heads + LANES - 1) / LANES,
        (part, thread) -> {
          int first = part * LANES;
          int count = Math.min(LANES, heads - first);
          int aAt = thread * stateDim * LANES;
          transpose((CpuTensor) p.a(), first, count, stateDim, aAt);
          for (int row = 0; row < batch.rows(); row++) {
            int stateAt = state.offset() + batch.slot(row) * state.stride() + first * stateDim;
            if (batch.position(row) == 0) {
              Arrays.fill(state.floats(), stateAt, stateAt + count * stateDim, 0);
            }
            for (int token = batch.start(row); token < batch.start(row + 1); token++) {
              int bAt = b.offset() + token * b.stride();
              int cAt = c.offset() + token * c.stride();
              if (count == LANES) {
                block(
                    p,
                    token,
                    first,
                    x,
                    dt,
                    b.floats(),
                    bAt,
                    c.floats(),
                    cAt,
                    state.floats(),
                    stateAt,
                    out,
                    aAt);
              } else {
                for (int lane = 0; lane < count; lane++) {
                  channel(
                      p,
                      token,
                      first + lane,
                      x,
                      dt,
                      b.floats(),
                      bAt,
                      c.floats(),
                      cAt,
                      state.floats(),
                      stateAt + lane,
                      count,
                      out,
                      aAt + lane);
                }
              }
            }
          }
        });
  }

  private void transpose(CpuTensor a, int first, int count, int stateDim, int at) {
    for (int lane = 0; lane < count; lane++) {
      int from = a.offset() + (first + lane) * a.stride();
      for (int n = 0; n < stateDim; n++) {
        scratch[at + n * LANES + lane] = a.floats()[from + n];
      }
    }
  }

  private void block(
      Scan p,
      int token,
      int first,
      CpuTensor x,
      CpuTensor dt,
      float[] b,
      int bAt,
      float[] c,
      int cAt,
      float[] s,
      int sAt,
      CpuTensor out,
      int aAt) {
    CpuTensor bias = (CpuTensor) p.dtBias();
    CpuTensor skip = (CpuTensor) p.skip();
    FloatVector step =
        CpuScan.step(
            FloatVector.fromArray(SPECIES, dt.floats(), dt.offset() + token * dt.stride() + first),
            FloatVector.fromArray(SPECIES, bias.floats(), bias.offset() + first),
            p.limit());
    FloatVector value =
        FloatVector.fromArray(SPECIES, x.floats(), x.offset() + token * x.stride() + first);
    FloatVector scaled = value.mul(step);
    FloatVector y = FloatVector.zero(SPECIES);
    int stateDim = p.dims().stateDim();
    for (int n = 0; n < stateDim; n++) {
      FloatVector a = FloatVector.fromArray(SPECIES, scratch, aAt + n * LANES);
      FloatVector old = FloatVector.fromArray(SPECIES, s, sAt + n * LANES);
      FloatVector next =
          scaled.fma(
              FloatVector.broadcast(SPECIES, b[bAt + n]), old.mul(Exponential.exp(step.mul(a))));
      next.intoArray(s, sAt + n * LANES);
      y = next.fma(FloatVector.broadcast(SPECIES, c[cAt + n]), y);
    }
    value
        .fma(FloatVector.fromArray(SPECIES, skip.floats(), skip.offset() + first), y)
        .intoArray(out.floats(), out.offset() + token * out.stride() + first);
  }

  private void channel(
      Scan p,
      int token,
      int channel,
      CpuTensor x,
      CpuTensor dt,
      float[] b,
      int bAt,
      float[] c,
      int cAt,
      float[] s,
      int sAt,
      int sStride,
      CpuTensor out,
      int aAt) {
    CpuTensor bias = (CpuTensor) p.dtBias();
    CpuTensor skip = (CpuTensor) p.skip();
    float step =
        CpuScan.step(
            dt.floats()[dt.offset() + token * dt.stride() + channel],
            bias.floats()[bias.offset() + channel],
            p.limit());
    float value = x.floats()[x.offset() + token * x.stride() + channel];
    float scaled = value * step;
    float y = 0;
    for (int n = 0; n < p.dims().stateDim(); n++) {
      int at = sAt + n * sStride;
      float decay = Exponential.exp(step * scratch[aAt + n * LANES]);
      s[at] = Math.fma(scaled, b[bAt + n], s[at] * decay);
      y = Math.fma(s[at], c[cAt + n], y);
    }
    out.floats()[out.offset() + token * out.stride() + channel] =
        Math.fma(value, skip.floats()[skip.offset() + channel], y);
  }
}
