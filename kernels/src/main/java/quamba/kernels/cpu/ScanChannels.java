package quamba.kernels.cpu;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Scan;

/**
 * The recurrence with heads of one channel and an {@code a} for each state (Mamba1). Lanes are
 * channels, in blocks of one vector. Parts are some rows with all blocks, whose state lies
 * together, or single blocks where rows are few. Within a slot the state lies as (blocks, stateDim,
 * channels of the block).
 */
final class ScanChannels {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  private final CpuThreads threads;
  private final float[] steps; // (threads, LANES) dt of a token's block
  private float[] decays = new float[0]; // (blocks, stateDim, LANES) a

  ScanChannels(CpuThreads threads) {
    this.threads = threads;
    this.steps = new float[threads.count() * LANES];
  }

  void run(ScanCall call) {
    int heads = call.p().dims().heads();
    int stateDim = call.p().dims().stateDim();
    int rows = call.batch().rows();
    int blocks = (heads + LANES - 1) / LANES;
    if (decays.length < blocks * stateDim * LANES) {
      decays = new float[blocks * stateDim * LANES];
    }
    int manyParts = 2 * threads.count();
    int rowsPerPart = Math.max(1, rows / manyParts);
    int rowParts = (rows + rowsPerPart - 1) / rowsPerPart;
    int width = rowParts >= manyParts ? blocks : 1;
    int columnParts = (blocks + width - 1) / width;
    threads.run(blocks, (block, thread) -> transpose((CpuTensor) call.p().a(), block));
    threads.run(
        rowParts * columnParts,
        (part, thread) -> {
          int firstRow = part / columnParts * rowsPerPart;
          int endRow = Math.min(rows, firstRow + rowsPerPart);
          int first = part % columnParts * width;
          int end = Math.min(blocks, first + width);
          for (int row = firstRow; row < endRow; row++) {
            for (int block = first; block < end; block++) {
              row(call, row, block, thread);
            }
          }
        });
  }

  /** Writes {@code a} of a block's channels as (stateDim, LANES). */
  private void transpose(CpuTensor a, int block) {
    int stateDim = a.shape().dim(1);
    int first = block * LANES;
    int count = Math.min(LANES, a.shape().dim(0) - first);
    int at = first * stateDim;
    for (int lane = 0; lane < count; lane++) {
      int from = a.offset() + (first + lane) * a.stride();
      for (int n = 0; n < stateDim; n++) {
        decays[at + n * LANES + lane] = a.floats()[from + n];
      }
    }
  }

  private void row(ScanCall call, int row, int block, int thread) {
    int stateDim = call.p().dims().stateDim();
    int first = block * LANES;
    int count = Math.min(LANES, call.p().dims().heads() - first);
    int stateAt = call.slotAt(row) + first * stateDim;
    if (call.batch().position(row) == 0) {
      Arrays.fill(call.state().floats(), stateAt, stateAt + count * stateDim, 0);
    }
    int decaysAt = first * stateDim;
    int start = call.batch().start(row);
    int end = call.batch().start(row + 1);
    for (int token = start; token < end; token++) {
      if (count == LANES) {
        step(call, token, first, thread * LANES);
        block(call, token, first, stateAt, decaysAt, thread * LANES);
      } else {
        for (int lane = 0; lane < count; lane++) {
          channel(call, token, first + lane, stateAt + lane, count, decaysAt + lane);
        }
      }
      if (call.rounding().isDue(call.batch().position(row) + token + 1 - start)) {
        call.rounding().round(call.state().floats(), stateAt, first, count);
      }
    }
  }

  private void step(ScanCall call, int token, int first, int at) {
    CpuTensor bias = (CpuTensor) call.p().dtBias();
    int dtAt = call.dt().offset() + token * call.dt().stride() + first;
    CpuScan.step(
            FloatVector.fromArray(SPECIES, call.dt().floats(), dtAt),
            FloatVector.fromArray(SPECIES, bias.floats(), bias.offset() + first),
            call.p().limit())
        .intoArray(steps, at);
  }

  private void block(ScanCall call, int token, int first, int stateAt, int decaysAt, int stepAt) {
    int stateDim = call.p().dims().stateDim();
    float[] s = call.state().floats();
    float[] a = decays;
    float[] b = call.b().floats();
    int bAt = call.b().offset() + token * call.b().stride();
    float[] c = call.c().floats();
    int cAt = call.c().offset() + token * call.c().stride();
    float[] x = call.x().floats();
    int xAt = call.x().offset() + token * call.x().stride() + first;
    FloatVector step = FloatVector.fromArray(SPECIES, steps, stepAt);
    FloatVector scaled = FloatVector.fromArray(SPECIES, x, xAt).mul(step);
    FloatVector y = FloatVector.zero(SPECIES);
    for (int n = 0; n < stateDim; n++) {
      FloatVector power = step.mul(FloatVector.fromArray(SPECIES, a, decaysAt + n * LANES));
      FloatVector old = FloatVector.fromArray(SPECIES, s, stateAt + n * LANES);
      FloatVector next = old.mul(Exponential.exp(power));
      next = scaled.fma(FloatVector.broadcast(SPECIES, b[bAt + n]), next);
      next.intoArray(s, stateAt + n * LANES);
      y = next.fma(FloatVector.broadcast(SPECIES, c[cAt + n]), y);
    }
    CpuTensor skip = (CpuTensor) call.p().skip();
    FloatVector.fromArray(SPECIES, x, xAt)
        .fma(FloatVector.fromArray(SPECIES, skip.floats(), skip.offset() + first), y)
        .intoArray(call.out().floats(), call.out().offset() + token * call.out().stride() + first);
  }

  /** One channel of a block that fills no vector; its state lies {@code stride} apart. */
  private void channel(
      ScanCall call, int token, int channel, int stateAt, int stride, int decaysAt) {
    Scan p = call.p();
    CpuTensor bias = (CpuTensor) p.dtBias();
    float raw = call.dt().floats()[call.dt().offset() + token * call.dt().stride() + channel];
    float step = CpuScan.step(raw, bias.floats()[bias.offset() + channel], p.limit());
    float x = call.x().floats()[call.x().offset() + token * call.x().stride() + channel];
    float scaled = x * step;
    float[] s = call.state().floats();
    int bAt = call.b().offset() + token * call.b().stride();
    int cAt = call.c().offset() + token * call.c().stride();
    float y = 0;
    for (int n = 0; n < p.dims().stateDim(); n++) {
      int at = stateAt + n * stride;
      float decay = Exponential.exp(step * decays[decaysAt + n * LANES]);
      s[at] = Math.fma(scaled, call.b().floats()[bAt + n], s[at] * decay);
      y = Math.fma(s[at], call.c().floats()[cAt + n], y);
    }
    call.out().floats()[call.out().offset() + token * call.out().stride() + channel] =
        Math.fma(x, call.skip(channel), y);
  }
}
