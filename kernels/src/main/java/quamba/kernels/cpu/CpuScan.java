package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
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
    return Exponential.softplus(raw.add(bias)).max(limit.min()).min(limit.max());
  }

  static float step(float raw, float bias, Scan.Limit limit) {
    return Math.min(limit.max(), Math.max(limit.min(), Exponential.softplus(raw + bias)));
  }
}
