package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import quamba.kernels.Scan;

/** The recurrence: chooses its form. */
final class CpuScan {
  private final ScanHeads heads;
  private final ScanChannels channels;

  CpuScan(CpuThreads threads) {
    heads = new ScanHeads(threads);
    channels = new ScanChannels(threads);
  }

  void run(ScanCall call) {
    if (call.p().a().shape().rank() == 1) {
      heads.run(call);
    } else {
      channels.run(call);
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
}
