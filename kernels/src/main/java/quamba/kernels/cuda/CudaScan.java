package quamba.kernels.cuda;

import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Tensor;

/** Launches the recurrence: chooses by the form of {@code a}, the states and the dtypes. */
final class CudaScan {
  /** Channels of one block, as in {@code scan.cu}. */
  static final int BLOCK_CHANNELS = 16;

  /** The most states of each form, as in {@code scan.cu} and {@code scan_channels.cu}. */
  static final int HEADS_STATES = 128;

  static final int HEADS_WIDE_STATES = 256;
  static final int CHANNELS_STATES = 16;
  static final int CHANNELS_WIDE_STATES = 64;

  private static final Kernels HEADS =
      new Kernels(
          CudaKernel.SCAN_HEADS_F32_F32_F32,
          CudaKernel.SCAN_HEADS_I8_F32_F32_F32,
          CudaKernel.SCAN_HEADS_I8_I8_F32_F32);
  private static final Kernels HEADS_WIDE =
      new Kernels(
          CudaKernel.SCAN_HEADS_WIDE_F32_F32_F32,
          CudaKernel.SCAN_HEADS_WIDE_I8_F32_F32_F32,
          CudaKernel.SCAN_HEADS_WIDE_I8_I8_F32_F32);
  private static final Kernels CHANNELS =
      new Kernels(
          CudaKernel.SCAN_CHANNELS_F32_F32_F32,
          CudaKernel.SCAN_CHANNELS_I8_F32_F32_F32,
          CudaKernel.SCAN_CHANNELS_I8_I8_F32_F32);
  private static final Kernels CHANNELS_WIDE =
      new Kernels(
          CudaKernel.SCAN_CHANNELS_WIDE_F32_F32_F32,
          CudaKernel.SCAN_CHANNELS_WIDE_I8_F32_F32_F32,
          CudaKernel.SCAN_CHANNELS_WIDE_I8_I8_F32_F32);

  private final CudaLaunch launch;
  private final CudaReplay replay;
  private final boolean warpgroups;

  /**
   * Launches with {@code launch}.
   *
   * @param warpgroups whether the device is one that {@link CudaReplay}'s kernels are tuned for
   */
  CudaScan(CudaLaunch launch, boolean warpgroups) {
    this.launch = launch;
    this.warpgroups = warpgroups;
    replay = new CudaReplay(launch);
  }

  /** Whether rounded states of these extents are replayed. */
  boolean replays(Scan.Dims dims) {
    return warpgroups && CudaSlot.fits(dims);
  }

  /** One form with inputs of f32, of codes but for dt, and of codes. */
  private record Kernels(CudaKernel floats, CudaKernel codes, CudaKernel codesWithDt) {
    CudaKernel of(DType x, DType dt) {
      if (x == DType.F32) {
        return floats;
      }
      return dt == DType.F32 ? codes : codesWithDt;
    }
  }

  /**
   * Runs {@link quamba.kernels.Backend#scan}.
   *
   * @throws IllegalArgumentException if stateDim is above 256, or above 64 where a is per state; or
   *     if scales of b or c differ within a group, for a state that is replayed
   */
  void run(Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out) {
    if (!replays(p.dims())) {
      plain(p, batch, x, dt, b, c, state, out);
      return;
    }
    CudaReplay.Inputs in =
        new CudaReplay.Inputs((CudaTensor) x, (CudaTensor) dt, (CudaTensor) b, (CudaTensor) c);
    if (state instanceof CudaState rounded) {
      replay.run(p, batch, in, rounded, (CudaTensor) out);
    } else {
      replay.run(p, batch, in, (CudaTensor) state, (CudaTensor) out);
    }
  }

  private void plain(
      Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out) {
    boolean perHead = p.a().shape().rank() == 1;
    Scan.Dims dims = p.dims();
    Kernels kernels = perHead ? heads(dims.stateDim()) : channels(dims.stateDim());
    CudaKernel kernel = kernels.of(x.dtype(), dt.dtype());
    launch
        .of(kernel)
        .batch(batch)
        .dense(p.a())
        .dense(p.dtBias())
        .dense(p.skip())
        .values(x)
        .values(dt)
        .values(b)
        .values(c);
    state(state);
    launch.strided(out);
    if (perHead) {
      launch
          .number(dims.headDim())
          .number(dims.stateDim())
          .number(dims.heads() / dims.groups())
          .number(p.limit().min())
          .number(p.limit().max())
          .over(batch.rows(), dims.heads(), CudaLaunch.pieces(dims.headDim(), BLOCK_CHANNELS));
    } else {
      launch
          .number(dims.heads())
          .number(dims.stateDim())
          .number(p.limit().min())
          .number(p.limit().max())
          .over(batch.rows(), CudaLaunch.pieces(dims.heads(), kernel.threads()), 1);
    }
  }

  /** The state, and how it is rounded. */
  private void state(Tensor state) {
    if (state instanceof CudaState rounded) {
      launch.strided(rounded.elements()).number(CudaState.rounding(rounded.format()));
      if (rounded.format() instanceof ScanState.StaticScaled fixed) {
        launch.dense(fixed.scale());
      } else {
        launch.nothing();
      }
    } else {
      launch.strided(state).number(CudaState.ROUND_NEVER).nothing();
    }
  }

  private static Kernels heads(int stateDim) {
    CudaLaunch.requireAtMost("stateDim", stateDim, HEADS_WIDE_STATES);
    return stateDim <= HEADS_STATES ? HEADS : HEADS_WIDE;
  }

  private static Kernels channels(int stateDim) {
    CudaLaunch.requireAtMost("stateDim", stateDim, CHANNELS_WIDE_STATES);
    return stateDim <= CHANNELS_STATES ? CHANNELS : CHANNELS_WIDE;
  }
}
