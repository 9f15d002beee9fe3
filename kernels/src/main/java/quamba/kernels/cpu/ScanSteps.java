package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Scan;

/** Step sizes and decays of all tokens and heads of a scan with one {@code a} a head. */
final class ScanSteps {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();

  /** Steps computed in one part. */
  private static final int PART = 2048;

  private final CpuThreads threads;
  private float[] steps = new float[0]; // (tokens, heads) dt
  private float[] decays = new float[0]; // (tokens, heads) exp(dt · a)

  ScanSteps(CpuThreads threads) {
    this.threads = threads;
  }

  /** (tokens, heads) dt after bias, softplus and limits. */
  float[] steps() {
    return steps;
  }

  /** (tokens, heads) exp(dt · a). */
  float[] decays() {
    return decays;
  }

  void compute(ScanCall call) {
    int tokens = call.batch().tokens();
    int heads = call.p().dims().heads();
    if (steps.length < tokens * heads) {
      steps = new float[tokens * heads];
      decays = new float[tokens * heads];
    }
    int tokensPerPart = Math.max(1, PART / heads);
    threads.run(
        (tokens + tokensPerPart - 1) / tokensPerPart,
        (part, thread) -> {
          int end = Math.min(tokens, (part + 1) * tokensPerPart);
          for (int token = part * tokensPerPart; token < end; token++) {
            token(call.p(), call.dt(), token);
          }
        });
  }

  private void token(Scan p, CpuTensor dt, int token) {
    int heads = p.dims().heads();
    CpuTensor a = (CpuTensor) p.a();
    CpuTensor bias = (CpuTensor) p.dtBias();
    int dtAt = dt.offset() + token * dt.stride();
    int at = token * heads;
    int head = 0;
    for (; head <= heads - LANES; head += LANES) {
      FloatVector raw = FloatVector.fromArray(SPECIES, dt.floats(), dtAt + head);
      FloatVector added = FloatVector.fromArray(SPECIES, bias.floats(), bias.offset() + head);
      CpuScan.step(raw, added, p.limit()).intoArray(steps, at + head);
    }
    for (; head < heads; head++) {
      steps[at + head] =
          CpuScan.step(dt.floats()[dtAt + head], bias.floats()[bias.offset() + head], p.limit());
    }
    decay(a.floats(), a.offset(), at, heads);
  }

  private void decay(float[] a, int aAt, int at, int heads) {
    int head = 0;
    for (; head <= heads - LANES; head += LANES) {
      FloatVector step = FloatVector.fromArray(SPECIES, steps, at + head);
      Exponential.exp(step.mul(FloatVector.fromArray(SPECIES, a, aAt + head)))
          .intoArray(decays, at + head);
    }
    for (; head < heads; head++) {
      decays[at + head] = Exponential.exp(steps[at + head] * a[aAt + head]);
    }
  }
}
