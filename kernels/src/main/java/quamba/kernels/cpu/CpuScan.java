package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import quamba.kernels.DType;
import quamba.kernels.Scan;

/** The recurrence: widens codes, chooses its form. */
final class CpuScan {
  /** Codes widened in one part: some microseconds. */
  private static final int PART = 16_384;

  private final CpuThreads threads;
  private final ScanHeads heads;
  private final ScanChannels channels;
  private float[] scratch = new float[0]; // (tokens, heads), (tokens, bc) twice: dt, B, C of codes

  CpuScan(CpuThreads threads) {
    this.threads = threads;
    heads = new ScanHeads(threads);
    channels = new ScanChannels(threads);
  }

  void run(ScanCall call) {
    ScanCall wide = call.x().dtype() == DType.I8 ? widened(call) : call;
    if (wide.p().a().shape().rank() == 1) {
      heads.run(wide);
    } else {
      channels.run(wide);
    }
  }

  /** The same scan of values; x goes to out, from where it may be read. */
  private ScanCall widened(ScanCall call) {
    int tokens = call.batch().tokens();
    CpuTensor dt = call.dt();
    int dtSize = tokens * dt.shape().dim(1);
    int bcSize = tokens * call.b().shape().dim(1);
    if (scratch.length < dtSize + 2 * bcSize) {
      scratch = new float[dtSize + 2 * bcSize];
    }
    CpuTensor wideDt = dt;
    if (dt.dtype() == DType.I8) {
      wideDt = widen(dt, CpuTensor.over(scratch, 0, dt.shape()));
    }
    CpuTensor b = widen(call.b(), CpuTensor.over(scratch, dtSize, call.b().shape()));
    CpuTensor c = widen(call.c(), CpuTensor.over(scratch, dtSize + bcSize, call.c().shape()));
    CpuTensor x = widen(call.x(), call.out());
    return new ScanCall(
        call.p(), call.batch(), x, wideDt, b, c, call.state(), call.rounding(), call.out());
  }

  private CpuTensor widen(CpuTensor from, CpuTensor to) {
    int rows = from.shape().dim(0);
    int width = from.shape().dim(1);
    int rowsPerPart = Math.max(1, PART / Math.max(1, width));
    threads.run(
        (rows + rowsPerPart - 1) / rowsPerPart,
        (part, thread) -> {
          int end = Math.min(rows, (part + 1) * rowsPerPart);
          for (int row = part * rowsPerPart; row < end; row++) {
            Codes.widen(
                from.bytes(), from.at(row), from.scales(), 0, to.floats(), to.at(row), width);
          }
        });
    return to;
  }

  /** {@code clamp(softplus(raw + bias))}. */
  static FloatVector step(FloatVector raw, FloatVector bias, Scan.Limit limit) {
    return Exponential.softplus(raw.add(bias)).max(limit.min()).min(limit.max());
  }

  static float step(float raw, float bias, Scan.Limit limit) {
    return Math.min(limit.max(), Math.max(limit.min(), Exponential.softplus(raw + bias)));
  }
}
