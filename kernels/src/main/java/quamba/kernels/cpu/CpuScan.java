package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;
import quamba.kernels.Scan;

/** The recurrence: chooses its form and computes the step sizes. */
final class CpuScan {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  private final ScanHeads heads;
  private final ScanChannels channels;

  CpuScan(CpuThreads threads) {
    heads = new ScanHeads(threads);
    channels = new ScanChannels(threads);
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
    if (p.a().shape().rank() == 1) {
      heads.run(p, batch, x, dt, b, c, state, out);
    } else {
      channels.run(p, batch, x, dt, b, c, state, out);
    }
  }

  /** {@code clamp(softplus(raw + bias))}. */
  static FloatVector step(FloatVector raw, FloatVector bias, Scan.Limit limit) {
    FloatVector dt = Exponential.softplus(raw.add(bias));
    dt = dt.blend(limit.min(), dt.compare(VectorOperators.LT, limit.min()));
    return dt.blend(limit.max(), dt.compare(VectorOperators.GT, limit.max()));
  }

  static float step(float raw, float bias, Scan.Limit limit) {
    float dt = Exponential.softplus(raw + bias);
    dt = dt < limit.min() ? limit.min() : dt;
    return dt > limit.max() ? limit.max() : dt;
  }

  /** {@link #step} and {@code exp(step · a)} of one token's heads. */
  static void steps(
      Scan p, CpuTensor dt, int token, int heads, float[] steps, float[] decays, int at) {
    CpuTensor a = (CpuTensor) p.a();
    CpuTensor bias = (CpuTensor) p.dtBias();
    int lanes = SPECIES.length();
    int dtAt = dt.offset() + token * dt.stride();
    int head = 0;
    for (; head <= heads - lanes; head += lanes) {
      FloatVector step =
          step(
              FloatVector.fromArray(SPECIES, dt.floats(), dtAt + head),
              FloatVector.fromArray(SPECIES, bias.floats(), bias.offset() + head),
              p.limit());
      step.intoArray(steps, at + head);
      Exponential.exp(step.mul(FloatVector.fromArray(SPECIES, a.floats(), a.offset() + head)))
          .intoArray(decays, at + head);
    }
    for (; head < heads; head++) {
      float step = step(dt.floats()[dtAt + head], bias.floats()[bias.offset() + head], p.limit());
      steps[at + head] = step;
      decays[at + head] = Exponential.exp(step * a.floats()[a.offset() + head]);
    }
  }
}
