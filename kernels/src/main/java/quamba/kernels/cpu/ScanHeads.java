package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Scan;

/**
 * The recurrence with one {@code a} a head (Mamba2). Parts are heads of a row. Lanes are channels,
 * so that y needs no sum across lanes: it is summed over stateDim from first to last, for one token
 * and for many alike. Within a slot the state lies as (heads, tiles, stateDim, channels of the
 * tile), so that it streams.
 */
final class ScanHeads {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  /** Channels of one tile: two vectors. */
  private static final int WIDTH = 2 * LANES;

  /** Tokens whose sums a thread holds at a time. */
  private static final int TOKENS = 64;

  /** State elements, times tokens, of one part: some ten microseconds. */
  private static final long PART = 32_768;

  private final CpuThreads threads;
  private final ScanSteps steps;
  private final float[] sums; // (threads, TOKENS, WIDTH) y before skip

  ScanHeads(CpuThreads threads) {
    this.threads = threads;
    this.steps = new ScanSteps(threads);
    this.sums = new float[threads.count() * TOKENS * WIDTH];
  }

  void run(ScanCall call) {
    steps.compute(call);
    int rows = call.batch().rows();
    int heads = call.p().dims().heads();
    long tokensPerRow = Math.max(1, call.batch().tokens() / Math.max(1, rows));
    long headWork = tokensPerRow * call.p().dims().headDim() * call.p().dims().stateDim();
    int headsPerPart = (int) Math.max(1, Math.min(heads, PART / headWork));
    int partsPerRow = (heads + headsPerPart - 1) / headsPerPart;
    threads.run(
        rows * partsPerRow,
        (part, thread) -> {
          int first = part % partsPerRow * headsPerPart;
          int end = Math.min(heads, first + headsPerPart);
          for (int head = first; head < end; head++) {
            head(call, part / partsPerRow, head, thread * TOKENS * WIDTH);
          }
        });
  }

  private void head(ScanCall call, int row, int head, int sumsAt) {
    Scan.Dims dims = call.p().dims();
    int headDim = dims.headDim();
    int stateDim = dims.stateDim();
    int stateAt = call.slotAt(row) + head * headDim * stateDim;
    if (call.batch().position(row) == 0) {
      Arrays.fill(call.state().floats(), stateAt, stateAt + headDim * stateDim, 0);
    }
    int start = call.batch().start(row);
    int end = call.batch().start(row + 1);
    int first = start;
    while (first < end) {
      int seen = call.batch().position(row) + first - start;
      int count = Math.min(Math.min(TOKENS, end - first), call.rounding().until(seen));
      int channel = 0;
      for (; channel <= headDim - WIDTH; channel += WIDTH) {
        int tileAt = stateAt + channel * stateDim;
        if (count == 1) {
          step(call, first, head, channel, tileAt);
        } else {
          chunk(call, first, count, head, channel, tileAt, sumsAt);
        }
      }
      int left = headDim - channel;
      for (int lane = 0; lane < left; lane++) {
        int at = stateAt + channel * stateDim + lane;
        channel(call, first, count, head, channel + lane, at, left);
      }
      if (call.rounding().isDue(seen + count)) {
        round(call, head, stateAt);
      }
      first += count;
    }
  }

  private static void round(ScanCall call, int head, int stateAt) {
    int headDim = call.p().dims().headDim();
    for (int channel = 0; channel < headDim; channel += WIDTH) {
      int at = stateAt + channel * call.p().dims().stateDim();
      int lanes = Math.min(WIDTH, headDim - channel);
      call.rounding().round(call.state().floats(), at, head * headDim + channel, lanes);
    }
  }

  /** One token of one tile: a single pass over its state. */
  private void step(ScanCall call, int token, int head, int channel, int stateAt) {
    Scan.Dims dims = call.p().dims();
    int stateDim = dims.stateDim();
    int groupAt = head / (dims.heads() / dims.groups()) * stateDim;
    float[] s = call.state().floats();
    float[] b = call.b().floats();
    int bAt = call.b().offset() + token * call.b().stride() + groupAt;
    float[] c = call.c().floats();
    int cAt = call.c().offset() + token * call.c().stride() + groupAt;
    float[] x = call.x().floats();
    int xAt = call.x().offset() + token * call.x().stride() + head * dims.headDim() + channel;
    FloatVector dt = FloatVector.broadcast(SPECIES, steps.steps()[token * dims.heads() + head]);
    FloatVector decay = FloatVector.broadcast(SPECIES, steps.decays()[token * dims.heads() + head]);
    FloatVector left = FloatVector.fromArray(SPECIES, x, xAt).mul(dt);
    FloatVector right = FloatVector.fromArray(SPECIES, x, xAt + LANES).mul(dt);
    FloatVector yLeft = FloatVector.zero(SPECIES);
    FloatVector yRight = FloatVector.zero(SPECIES);
    for (int n = 0; n < stateDim; n++) {
      int at = stateAt + n * WIDTH;
      FloatVector bn = FloatVector.broadcast(SPECIES, b[bAt + n]);
      FloatVector cn = FloatVector.broadcast(SPECIES, c[cAt + n]);
      FloatVector sLeft = FloatVector.fromArray(SPECIES, s, at).mul(decay);
      FloatVector sRight = FloatVector.fromArray(SPECIES, s, at + LANES).mul(decay);
      sLeft = left.fma(bn, sLeft);
      sRight = right.fma(bn, sRight);
      sLeft.intoArray(s, at);
      sRight.intoArray(s, at + LANES);
      yLeft = sLeft.fma(cn, yLeft);
      yRight = sRight.fma(cn, yRight);
    }
    float[] out = call.out().floats();
    int outAt = call.out().offset() + token * call.out().stride() + head * dims.headDim() + channel;
    FloatVector skip = FloatVector.broadcast(SPECIES, call.skip(head));
    FloatVector.fromArray(SPECIES, x, xAt).fma(skip, yLeft).intoArray(out, outAt);
    FloatVector.fromArray(SPECIES, x, xAt + LANES).fma(skip, yRight).intoArray(out, outAt + LANES);
  }

  /** Some tokens of one tile: four rows of its state at a time stay in registers for all tokens. */
  private void chunk(
      ScanCall call, int first, int count, int head, int channel, int stateAt, int sumsAt) {
    int stateDim = call.p().dims().stateDim();
    Arrays.fill(sums, sumsAt, sumsAt + count * WIDTH, 0);
    int n = 0;
    for (; n <= stateDim - 4; n += 4) {
      four(call, first, count, head, channel, n, stateAt + n * WIDTH, sumsAt);
    }
    for (; n < stateDim; n++) {
      one(call, first, count, head, channel, n, stateAt + n * WIDTH, sumsAt);
    }
    addSkip(call, first, count, head, channel, sumsAt);
  }

  private void four(
      ScanCall call, int first, int count, int head, int channel, int n, int at, int sumsAt) {
    Scan.Dims dims = call.p().dims();
    int heads = dims.heads();
    int groupAt = head / (heads / dims.groups()) * dims.stateDim();
    float[] b = call.b().floats();
    int bStride = call.b().stride();
    int bAt = call.b().offset() + first * bStride + groupAt + n;
    float[] c = call.c().floats();
    int cStride = call.c().stride();
    int cAt = call.c().offset() + first * cStride + groupAt + n;
    float[] x = call.x().floats();
    int xStride = call.x().stride();
    int xAt = call.x().offset() + first * xStride + head * dims.headDim() + channel;
    float[] dts = steps.steps();
    float[] decays = steps.decays();
    int dtAt = first * heads + head;
    float[] y = sums;
    float[] s = call.state().floats();
    FloatVector l0 = FloatVector.fromArray(SPECIES, s, at);
    FloatVector r0 = FloatVector.fromArray(SPECIES, s, at + LANES);
    FloatVector l1 = FloatVector.fromArray(SPECIES, s, at + WIDTH);
    FloatVector r1 = FloatVector.fromArray(SPECIES, s, at + WIDTH + LANES);
    FloatVector l2 = FloatVector.fromArray(SPECIES, s, at + 2 * WIDTH);
    FloatVector r2 = FloatVector.fromArray(SPECIES, s, at + 2 * WIDTH + LANES);
    FloatVector l3 = FloatVector.fromArray(SPECIES, s, at + 3 * WIDTH);
    FloatVector r3 = FloatVector.fromArray(SPECIES, s, at + 3 * WIDTH + LANES);
    for (int t = 0; t < count; t++) {
      FloatVector decay = FloatVector.broadcast(SPECIES, decays[dtAt + t * heads]);
      FloatVector dt = FloatVector.broadcast(SPECIES, dts[dtAt + t * heads]);
      FloatVector xl = FloatVector.fromArray(SPECIES, x, xAt + t * xStride).mul(dt);
      FloatVector xr = FloatVector.fromArray(SPECIES, x, xAt + t * xStride + LANES).mul(dt);
      FloatVector yl = FloatVector.fromArray(SPECIES, y, sumsAt + t * WIDTH);
      FloatVector yr = FloatVector.fromArray(SPECIES, y, sumsAt + t * WIDTH + LANES);
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
      l3.fma(cn, yl).intoArray(y, sumsAt + t * WIDTH);
      r3.fma(cn, yr).intoArray(y, sumsAt + t * WIDTH + LANES);
    }
    l0.intoArray(s, at);
    r0.intoArray(s, at + LANES);
    l1.intoArray(s, at + WIDTH);
    r1.intoArray(s, at + WIDTH + LANES);
    l2.intoArray(s, at + 2 * WIDTH);
    r2.intoArray(s, at + 2 * WIDTH + LANES);
    l3.intoArray(s, at + 3 * WIDTH);
    r3.intoArray(s, at + 3 * WIDTH + LANES);
  }

  /** As {@link #four}, for what stateDim leaves over. */
  private void one(
      ScanCall call, int first, int count, int head, int channel, int n, int at, int sumsAt) {
    Scan.Dims dims = call.p().dims();
    int groupAt = head / (dims.heads() / dims.groups()) * dims.stateDim();
    float[] s = call.state().floats();
    FloatVector left = FloatVector.fromArray(SPECIES, s, at);
    FloatVector right = FloatVector.fromArray(SPECIES, s, at + LANES);
    for (int t = 0; t < count; t++) {
      int token = first + t;
      float dt = steps.steps()[token * dims.heads() + head];
      float decay = steps.decays()[token * dims.heads() + head];
      float bn = call.b().floats()[call.b().offset() + token * call.b().stride() + groupAt + n];
      float cn = call.c().floats()[call.c().offset() + token * call.c().stride() + groupAt + n];
      float[] x = call.x().floats();
      int xAt = call.x().offset() + token * call.x().stride() + head * dims.headDim() + channel;
      int y = sumsAt + t * WIDTH;
      FloatVector b = FloatVector.broadcast(SPECIES, bn);
      FloatVector c = FloatVector.broadcast(SPECIES, cn);
      left = FloatVector.fromArray(SPECIES, x, xAt).mul(dt).fma(b, left.mul(decay));
      right = FloatVector.fromArray(SPECIES, x, xAt + LANES).mul(dt).fma(b, right.mul(decay));
      left.fma(c, FloatVector.fromArray(SPECIES, sums, y)).intoArray(sums, y);
      right.fma(c, FloatVector.fromArray(SPECIES, sums, y + LANES)).intoArray(sums, y + LANES);
    }
    left.intoArray(s, at);
    right.intoArray(s, at + LANES);
  }

  /** {@code out = sums + skip · x}. */
  private void addSkip(ScanCall call, int first, int count, int head, int channel, int sumsAt) {
    FloatVector skip = FloatVector.broadcast(SPECIES, call.skip(head));
    int column = head * call.p().dims().headDim() + channel;
    for (int t = 0; t < count; t++) {
      int xAt = call.x().offset() + (first + t) * call.x().stride() + column;
      int outAt = call.out().offset() + (first + t) * call.out().stride() + column;
      for (int lane = 0; lane < WIDTH; lane += LANES) {
        FloatVector.fromArray(SPECIES, call.x().floats(), xAt + lane)
            .fma(skip, FloatVector.fromArray(SPECIES, sums, sumsAt + t * WIDTH + lane))
            .intoArray(call.out().floats(), outAt + lane);
      }
    }
  }

  /** One channel that fills no tile; its state lies {@code stride} apart. */
  private void channel(
      ScanCall call, int first, int count, int head, int channel, int stateAt, int stride) {
    Scan.Dims dims = call.p().dims();
    int groupAt = head / (dims.heads() / dims.groups()) * dims.stateDim();
    int column = head * dims.headDim() + channel;
    float[] s = call.state().floats();
    float[] b = call.b().floats();
    float[] c = call.c().floats();
    for (int token = first; token < first + count; token++) {
      float decay = steps.decays()[token * dims.heads() + head];
      float x = call.x().floats()[call.x().offset() + token * call.x().stride() + column];
      float scaled = x * steps.steps()[token * dims.heads() + head];
      int bAt = call.b().offset() + token * call.b().stride() + groupAt;
      int cAt = call.c().offset() + token * call.c().stride() + groupAt;
      float y = 0;
      for (int n = 0; n < dims.stateDim(); n++) {
        int at = stateAt + n * stride;
        s[at] = Math.fma(scaled, b[bAt + n], s[at] * decay);
        y = Math.fma(s[at], c[cAt + n], y);
      }
      call.out().floats()[call.out().offset() + token * call.out().stride() + column] =
          Math.fma(x, call.skip(head), y);
    }
  }
}
