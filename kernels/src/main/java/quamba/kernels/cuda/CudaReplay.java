package quamba.kernels.cuda;

import java.util.List;
import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Tensor;

/**
 * Launches the recurrence for the extents of {@link CudaSlot}, with a state that is replayed or in
 * f32. With a replayed one, the kernels for one token of each row and for many give the same bits;
 * those for many also read rows that begin at any element.
 */
final class CudaReplay {
  /** Heads that a block takes in turn, and where there are few rows. */
  private static final int HEADS = 8;

  private static final int HEADS_OF_FEW = 4;
  private static final int FEW_ROWS = 16; // not few any more
  private static final int MANY_ROWS = 128;

  /**
   * Where rows are not many, the first of so many is split among blocks if its state is rounded,
   * which takes longest: twice the share of those rows, which come first in a step.
   */
  private static final int SPLIT_SHARE = ScanState.INTERVAL / 2;

  /** Heads that a block takes of a row that is split. */
  private static final int SPLIT_HEADS = 2;

  private static final Kernels ROW_SCALED =
      new Kernels(
          List.of(CudaKernel.SCAN_DECODE_F32_ROW_F32, CudaKernel.SCAN_DECODE_I8_ROW_F32),
          List.of(CudaKernel.SCAN_CHUNK_F32_ROW_F32, CudaKernel.SCAN_CHUNK_I8_ROW_F32),
          List.of(CudaKernel.SCAN_KEEP_ROW_F32, CudaKernel.SCAN_KEEP_ROW_I8));
  private static final Kernels STATIC_SCALED =
      new Kernels(
          List.of(CudaKernel.SCAN_DECODE_F32_I8_F32, CudaKernel.SCAN_DECODE_I8_I8_F32),
          List.of(CudaKernel.SCAN_CHUNK_F32_I8_F32, CudaKernel.SCAN_CHUNK_I8_I8_F32),
          List.of(CudaKernel.SCAN_KEEP_I8_F32, CudaKernel.SCAN_KEEP_I8_I8));
  private static final Kernels HALF =
      new Kernels(
          List.of(CudaKernel.SCAN_DECODE_F32_F16_F32, CudaKernel.SCAN_DECODE_I8_F16_F32),
          List.of(CudaKernel.SCAN_CHUNK_F32_F16_F32, CudaKernel.SCAN_CHUNK_I8_F16_F32),
          List.of(CudaKernel.SCAN_KEEP_F16_F32, CudaKernel.SCAN_KEEP_F16_I8));

  private final CudaLaunch launch;

  CudaReplay(CudaLaunch launch) {
    this.launch = launch;
  }

  /** The kernels of a format of states: of inputs in f32, and of codes. */
  private record Kernels(List<CudaKernel> one, List<CudaKernel> many, List<CudaKernel> keep) {
    static Kernels of(ScanState format) {
      if (format instanceof ScanState.RowScaled) {
        return ROW_SCALED;
      }
      return format instanceof ScanState.F16 ? HALF : STATIC_SCALED;
    }
  }

  /** The inputs of a call. */
  record Inputs(CudaTensor x, CudaTensor dt, CudaTensor b, CudaTensor c) {
    private CudaKernel kernel(List<CudaKernel> floatsOrCodes) {
      return floatsOrCodes.get(x.dtype() == DType.I8 ? 1 : 0);
    }

    /** Whether kernels can load several elements at a time. */
    private boolean areAligned() {
      int elements = x.dtype() == DType.I8 ? 8 : 4;
      return CudaReplay.isAligned(x, elements)
          && CudaReplay.isAligned(b, elements)
          && CudaReplay.isAligned(c, elements);
    }
  }

  /**
   * With a state that is replayed.
   *
   * @throws IllegalArgumentException if scales of b or c differ within a group
   */
  void run(Scan p, Batch batch, Inputs in, CudaState state, CudaTensor out) {
    requireEqualScales("b", in.b(), p.dims());
    requireEqualScales("c", in.c(), p.dims());
    Kernels kernels = Kernels.of(state.format());
    boolean aligned = in.areAligned() && isAligned(out, 2);
    if (!aligned) {
      many(kernels, p, batch, in, state, out, false);
      return;
    }
    if (batch.single() > 0) {
      one(kernels, p, batch, in, state, out);
    }
    if (batch.single() < batch.rows()) {
      many(kernels, p, batch.others(), in, state, out, true);
    }
  }

  /** The batch's rows of a single token. */
  private void one(
      Kernels kernels, Scan p, Batch batch, Inputs in, CudaState state, CudaTensor out) {
    Scan.Dims dims = p.dims();
    int heads = dims.heads() / dims.groups();
    int rows = batch.single();
    int blockHeads = rows < FEW_ROWS ? HEADS_OF_FEW : HEADS;
    int splitRows = rows < MANY_ROWS ? CudaLaunch.pieces(rows, SPLIT_SHARE) : 0;
    int ways = blockHeads / SPLIT_HEADS;
    launch.of(in.kernel(kernels.one)).dense(batch.slots()).dense(batch.positions());
    arguments(p, in);
    state(state)
        .strided(out)
        .number(dims.heads())
        .number(heads)
        .number(splitRows)
        .number(ways)
        .number(blockHeads)
        .number(p.limit().min())
        .number(p.limit().max())
        .over(CudaLaunch.pieces(heads, blockHeads), dims.groups(), rows + splitRows * (ways - 1));
  }

  private void many(
      Kernels kernels,
      Scan p,
      Batch batch,
      Inputs in,
      CudaState state,
      CudaTensor out,
      boolean aligned) {
    Scan.Dims dims = p.dims();
    launch.of(in.kernel(kernels.many)).batch(batch);
    arguments(p, in);
    state(state)
        .strided(out)
        .number(dims.heads())
        .number(dims.heads() / dims.groups())
        .number(aligned ? 1 : 0)
        .number(p.limit().min())
        .number(p.limit().max())
        .over(dims.heads(), batch.rows(), 1);
    launch
        .of(in.kernel(kernels.keep))
        .batch(batch)
        .strided(in.b())
        .strided(state.elements())
        .number(dims.heads())
        .over(dims.groups(), batch.rows(), 1);
  }

  /** With a state (slots, heads, headDim, stateDim) in f32. */
  void run(Scan p, Batch batch, Inputs in, CudaTensor state, CudaTensor out) {
    Scan.Dims dims = p.dims();
    boolean codes = in.x().dtype() == DType.I8;
    launch
        .of(codes ? CudaKernel.SCAN_DECODE_I8_F32_F32 : CudaKernel.SCAN_DECODE_F32_F32_F32)
        .batch(batch);
    arguments(p, in)
        .strided(state)
        .strided(out)
        .number(dims.heads())
        .number(dims.heads() / dims.groups())
        .number(in.areAligned() ? 1 : 0)
        .number(p.limit().min())
        .number(p.limit().max())
        .over(dims.heads(), batch.rows(), 1);
  }

  private CudaLaunch arguments(Scan p, Inputs in) {
    launch.dense(p.a()).dense(p.dtBias()).dense(p.skip()).values(in.x());
    if (in.x().dtype() == DType.I8) {
      launch.either(in.dt());
    } else {
      launch.values(in.dt());
    }
    return launch.values(in.b()).values(in.c());
  }

  private CudaLaunch state(CudaState state) {
    launch.strided(state.elements());
    return state.format() instanceof ScanState.StaticScaled fixed
        ? launch.dense(fixed.scale())
        : launch.nothing();
  }

  /** Whether rows begin at multiples of this many elements. */
  private static boolean isAligned(CudaTensor matrix, int elements) {
    boolean begin = matrix.address().value() % ((long) elements * matrix.dtype().bytes()) == 0;
    return begin && (matrix.stride() % elements == 0 || matrix.entries() <= 1);
  }

  private static void requireEqualScales(String name, Tensor codes, Scan.Dims dims) {
    if (codes.dtype() == DType.I8 && ((CudaTensor) codes).isScaledByColumn()) {
      int group = dims.stateDim();
      int found = ((CudaTensor) codes).scale().changes().withinGroups(group);
      if (found >= 0) {
        throw new IllegalArgumentException(
            "scan %s: expected scales that were uploaded equal for each %d columns, found those of columns %d and %d apart"
                .formatted(name, group, found - 1, found));
      }
    }
  }
}
