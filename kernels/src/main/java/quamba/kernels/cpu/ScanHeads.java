package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Scan;

/**
 * The recurrence with one {@code a} a head (Mamba2). Parts are heads of a row. Within a slot the
 * state lies as (heads, stateDim, headDim), so that lanes are channels and y needs no sum across
 * lanes: it is summed over stateDim from first to last, for one token and for many alike.
 */
final class ScanHeads {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  /** Channels of one tile: two vectors. */
  private static final int WIDTH = 2 * LANES;

  /** Tokens that a tile of the state stays in registers for. */
  private static final int TOKENS = 64;

  /** State elements, times tokens, of one part: some ten microseconds. */
  private static final int PART = 32_768;

  /** Steps computed in one part. */
  private static final int STEPS = 1024;

  private final CpuThreads threads;
  private final float[] sums; // (threads, TOKENS, WIDTH)
  private float[] steps = new float[0]; // (tokens, heads) dt
  private float[] decays = new float[0]; // (tokens, heads) exp(dt · a)

  ScanHeads(CpuThreads threads) {
    this.threads = threads;
    this.sums = new float[threads.count() * TOKENS * WIDTH];
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
    computeSteps(p, batch.tokens(), dt);
    int size = p.dims().headDim() * p.dims().stateDim();
    int tokensPerRow = Math.max(1, batch.tokens() / Math.max(1, batch.rows()));
    long headWork = (long) size * tokensPerRow;
    int headsPerPart = (int) Math.max(1, Math.min(heads, PART / headWork));
    int partsPerRow = (heads + headsPerPart - 1) / headsPerPart;
    threads.run(
        batch.rows() * partsPerRow,
        (part, thread) -> {
          int row = part / partsPerRow;
          int first = part % partsPerRow * headsPerPart;
          int end = Math.min(heads, first + headsPerPart);
          for (int head = first; head < end; head++) {
            head(p, batch, row, head, x, b, c, state, out, thread);
          }
        });
  }

  private void computeSteps(Scan p, int tokens, CpuTensor dt) {
    int heads = p.dims().heads();
    if (steps.length < tokens * heads) {
      steps = new float[tokens * heads];
      decays = new float[tokens * heads];
    }
    int tokensPerPart = Math.max(1, STEPS / heads);
    threads.run(
        (tokens + tokensPerPart - 1) / tokensPerPart,
        (part, thread) -> {
          int end = Math.min(tokens, (part + 1) * tokensPerPart);
          for (int token = part * tokensPerPart; token < end; token++) {
            CpuScan.steps(p, dt, token, heads, steps, decays, token * heads);
          }
        });
  }

  private void head(
      Scan p,
      CpuBatch batch,
      int row,
      int head,
      CpuTensor x,
      CpuTensor b,
      CpuTensor c,
      CpuTensor state,
      CpuTensor out,
      int thread) {
    Scan.Dims dims = p.dims();
    int headDim = dims.headDim();
    int stateDim = dims.stateDim();
    int group = head / (dims.heads() / dims.groups());
    float[] s = state.floats();
    int stateAt = state.offset() + batch.slot(row) * state.stride() + head * headDim * stateDim;
    if (batch.position(row) == 0) {
      Arrays.fill(s, stateAt, stateAt + headDim * stateDim, 0);
    }
    CpuTensor skips = (CpuTensor) p.skip();
    float skip = skips.floats()[skips.offset() + head];
    int sumsAt = thread * TOKENS * WIDTH;
    for (int first = batch.start(row); first < batch.start(row + 1); first += TOKENS) {
      int count = Math.min(TOKENS, batch.start(row + 1) - first);
      int stepAt = first * dims.heads() + head;
      int xAt = x.offset() + first * x.stride() + head * headDim;
      int bAt = b.offset() + first * b.stride() + group * stateDim;
      int cAt = c.offset() + first * c.stride() + group * stateDim;
      int outAt = out.offset() + first * out.stride() + head * headDim;
      int channel = 0;
      for (; channel <= headDim - WIDTH; channel += WIDTH) {
        Arrays.fill(sums, sumsAt, sumsAt + count * WIDTH, 0);
        int n = 0;
        for (; n <= stateDim - 4; n += 4) {
          tile4(
              count,
              s,
              stateAt + n * headDim + channel,
              headDim,
              x.floats(),
              xAt + channel,
              x.stride(),
              b.floats(),
              bAt + n,
              b.stride(),
              c.floats(),
              cAt + n,
              c.stride(),
              stepAt,
              dims.heads(),
              sumsAt);
        }
        for (; n < stateDim; n++) {
          tile1(
              count,
              s,
              stateAt + n * headDim + channel,
              x.floats(),
              xAt + channel,
              x.stride(),
              b.floats(),
              bAt + n,
              b.stride(),
              c.floats(),
              cAt + n,
              c.stride(),
              stepAt,
              dims.heads(),
              sumsAt);
        }
        addSkip(
            count,
            skip,
            x.floats(),
            xAt + channel,
            x.stride(),
            out.floats(),
            outAt + channel,
            out.stride(),
            sumsAt);
      }
      for (; channel < headDim; channel++) {
        channel(
            count,
            stateDim,
            s,
            stateAt + channel,
            headDim,
            x.floats(),
            xAt + channel,
            x.stride(),
            b.floats(),
            bAt,
            b.stride(),
            c.floats(),
            cAt,
            c.stride(),
            stepAt,
            dims.heads(),
            skip,
            out.floats(),
            outAt + channel,
            out.stride());
      }
    }
  }

  /** Four states by WIDTH channels over {@code count} tokens. */
  private void tile4(
      int count,
      float[] s,
      int sAt,
      int sStride,
      float[] x,
      int xAt,
      int xStride,
      float[] b,
      int bAt,
      int bStride,
      float[] c,
      int cAt,
      int cStride,
      int stepAt,
      int stepStride,
      int sumsAt) {
    int s0 = sAt;
    int s1 = s0 + sStride;
    int s2 = s1 + sStride;
    int s3 = s2 + sStride;
    FloatVector l0 = FloatVector.fromArray(SPECIES, s, s0);
    FloatVector r0 = FloatVector.fromArray(SPECIES, s, s0 + LANES);
    FloatVector l1 = FloatVector.fromArray(SPECIES, s, s1);
    FloatVector r1 = FloatVector.fromArray(SPECIES, s, s1 + LANES);
    FloatVector l2 = FloatVector.fromArray(SPECIES, s, s2);
    FloatVector r2 = FloatVector.fromArray(SPECIES, s, s2 + LANES);
    FloatVector l3 = FloatVector.fromArray(SPECIES, s, s3);
    FloatVector r3 = FloatVector.fromArray(SPECIES, s, s3 + LANES);
    for (int t = 0; t < count; t++) {
      FloatVector decay = FloatVector.broadcast(SPECIES, decays[stepAt + t * stepStride]);
      FloatVector step = FloatVector.broadcast(SPECIES, steps[stepAt + t * stepStride]);
      FloatVector xl = FloatVector.fromArray(SPECIES, x, xAt + t * xStride).mul(step);
      FloatVector xr = FloatVector.fromArray(SPECIES, x, xAt + t * xStride + LANES).mul(step);
      FloatVector yl = FloatVector.fromArray(SPECIES, sums, sumsAt + t * WIDTH);
      FloatVector yr = FloatVector.fromArray(SPECIES, sums, sumsAt + t * WIDTH + LANES);
      FloatVector bn = FloatVector.broadcast(SPECIES, b[bAt + t * bStride]);
      FloatVector cn = FloatVector.broadcast(SPECIES, c[cAt + t * cStride]);
      l0 = xl.fma(bn, l0.mul(decay));
      r0 = xr.fma(bn, r0.mul(decay));
      yl = l0.fma(cn, yl);
      yr = r0.fma(cn, yr);
      bn = FloatVector.broadcast(SPECIES, b[bAt + t * bStride + 1]);
      cn = FloatVector.broadcast(SPECIES, c[cAt + t * cStride + 1]);
      l1 = xl.fma(bn, l1.mul(decay));
      r1 = xr.fma(bn, r1.mul(decay));
      yl = l1.fma(cn, yl);
      yr = r1.fma(cn, yr);
      bn = FloatVector.broadcast(SPECIES, b[bAt + t * bStride + 2]);
      cn = FloatVector.broadcast(SPECIES, c[cAt + t * cStride + 2]);
      l2 = xl.fma(bn, l2.mul(decay));
      r2 = xr.fma(bn, r2.mul(decay));
      yl = l2.fma(cn, yl);
      yr = r2.fma(cn, yr);
      bn = FloatVector.broadcast(SPECIES, b[bAt + t * bStride + 3]);
      cn = FloatVector.broadcast(SPECIES, c[cAt + t * cStride + 3]);
      l3 = xl.fma(bn, l3.mul(decay));
      r3 = xr.fma(bn, r3.mul(decay));
      yl = l3.fma(cn, yl);
      yr = r3.fma(cn, yr);
      yl.intoArray(sums, sumsAt + t * WIDTH);
      yr.intoArray(sums, sumsAt + t * WIDTH + LANES);
    }
    l0.intoArray(s, s0);
    r0.intoArray(s, s0 + LANES);
    l1.intoArray(s, s1);
    r1.intoArray(s, s1 + LANES);
    l2.intoArray(s, s2);
    r2.intoArray(s, s2 + LANES);
    l3.intoArray(s, s3);
    r3.intoArray(s, s3 + LANES);
  }

  /** One state by WIDTH channels over {@code count} tokens. */
  private void tile1(
      int count,
      float[] s,
      int sAt,
      float[] x,
      int xAt,
      int xStride,
      float[] b,
      int bAt,
      int bStride,
      float[] c,
      int cAt,
      int cStride,
      int stepAt,
      int stepStride,
      int sumsAt) {
    FloatVector l0 = FloatVector.fromArray(SPECIES, s, sAt);
    FloatVector r0 = FloatVector.fromArray(SPECIES, s, sAt + LANES);
    for (int t = 0; t < count; t++) {
      FloatVector decay = FloatVector.broadcast(SPECIES, decays[stepAt + t * stepStride]);
      FloatVector step = FloatVector.broadcast(SPECIES, steps[stepAt + t * stepStride]);
      FloatVector xl = FloatVector.fromArray(SPECIES, x, xAt + t * xStride).mul(step);
      FloatVector xr = FloatVector.fromArray(SPECIES, x, xAt + t * xStride + LANES).mul(step);
      FloatVector yl = FloatVector.fromArray(SPECIES, sums, sumsAt + t * WIDTH);
      FloatVector yr = FloatVector.fromArray(SPECIES, sums, sumsAt + t * WIDTH + LANES);
      FloatVector bn = FloatVector.broadcast(SPECIES, b[bAt + t * bStride]);
      FloatVector cn = FloatVector.broadcast(SPECIES, c[cAt + t * cStride]);
      l0 = xl.fma(bn, l0.mul(decay));
      r0 = xr.fma(bn, r0.mul(decay));
      l0.fma(cn, yl).intoArray(sums, sumsAt + t * WIDTH);
      r0.fma(cn, yr).intoArray(sums, sumsAt + t * WIDTH + LANES);
    }
    l0.intoArray(s, sAt);
    r0.intoArray(s, sAt + LANES);
  }

  /** {@code out = sums + skip · x}. */
  private void addSkip(
      int count,
      float skip,
      float[] x,
      int xAt,
      int xStride,
      float[] out,
      int outAt,
      int outStride,
      int sumsAt) {
    FloatVector factor = FloatVector.broadcast(SPECIES, skip);
    for (int t = 0; t < count; t++) {
      for (int lane = 0; lane < WIDTH; lane += LANES) {
        FloatVector.fromArray(SPECIES, x, xAt + t * xStride + lane)
            .fma(factor, FloatVector.fromArray(SPECIES, sums, sumsAt + t * WIDTH + lane))
            .intoArray(out, outAt + t * outStride + lane);
      }
    }
  }

  /** One channel that fills no tile. */
  private void channel(
      int count,
      int stateDim,
      float[] s,
      int sAt,
      int sStride,
      float[] x,
      int xAt,
      int xStride,
      float[] b,
      int bAt,
      int bStride,
      float[] c,
      int cAt,
      int cStride,
      int stepAt,
      int stepStride,
      float skip,
      float[] out,
      int outAt,
      int outStride) {
    for (int t = 0; t < count; t++) {
      float decay = decays[stepAt + t * stepStride];
      float value = x[xAt + t * xStride];
      float scaled = value * steps[stepAt + t * stepStride];
      float y = 0;
      for (int n = 0; n < stateDim; n++) {
        int at = sAt + n * sStride;
        s[at] = Math.fma(scaled, b[bAt + t * bStride + n], s[at] * decay);
        y = Math.fma(s[at], c[cAt + t * cStride + n], y);
      }
      out[outAt + t * outStride] = Math.fma(value, skip, y);
    }
  }
}
