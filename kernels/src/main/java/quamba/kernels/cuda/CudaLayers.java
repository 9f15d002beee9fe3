package quamba.kernels.cuda;

import java.util.List;
import java.util.Map;
import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Gate;
import quamba.kernels.Layer;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/**
 * Runs layers that follow each other in one launch, where there is one row of one token: of codes,
 * with 4-bit weights, states that are replayed and rotation, on devices with warpgroups.
 */
final class CudaLayers {
  /** Of outputs of one block and product, as in layers_ring.cuh. */
  static final int MOST_TILES = 16;

  /** Columns that a norm keeps in registers, MOST_HELD of norm.cuh. */
  private static final int MOST_MODEL_DIM = 4096;

  /** Formats of states, as in layers.cuh. */
  static final int ROW_SCALED = 0;

  static final int STATIC_SCALED = 1;
  static final int HALF = 2;

  private static final int TILE = CudaTilePacking.TILE;

  /** By the columns of the gate. */
  private static final Map<Integer, CudaKernel> KERNELS =
      Map.of(
          1536, CudaKernel.LAYERS_DECODE_1536,
          2048, CudaKernel.LAYERS_DECODE_2048,
          3072, CudaKernel.LAYERS_DECODE_3072,
          4096, CudaKernel.LAYERS_DECODE_4096,
          5120, CudaKernel.LAYERS_DECODE_5120,
          8192, CudaKernel.LAYERS_DECODE_8192);

  private final CudaLaunch launch;
  private final CudaContext context;
  private final CudaScan scan;
  private final CudaTensor barrier; // (1) i32, which is the kernel's alone

  CudaLayers(CudaContext context, CudaLaunch launch, CudaScan scan, CudaArena arena) {
    this.context = context;
    this.launch = launch;
    this.scan = scan;
    barrier =
        CudaTensor.dense(
            DType.I32, Shape.of(1), arena.allocate(Integer.BYTES, "a barrier of layers"));
  }

  /**
   * How many of the layers, from the first on, one launch can run; 0 if it cannot run the first.
   */
  int count(List<Layer> layers, Batch batch, CudaRecordingBytes beside) {
    if (!context.hasWarpgroups() || batch.rows() != 1 || batch.tokens() != 1) {
      return 0;
    }
    int count = 0;
    while (count < layers.size()
        && fits(layers.get(count), batch)
        && isLike(layers.get(count), layers.get(0))
        && beside.hasRoom((count + 1L) * CudaLayerField.bytes())) {
      count++;
    }
    return count;
  }

  /** Launches layers of which {@link #count} says that it can. */
  void run(List<Layer> layers, Batch batch, CudaRecordingBytes beside) {
    CudaTensor all =
        CudaTensor.dense(DType.I8, Shape.of(layers.size() * CudaLayerField.bytes()), beside.next());
    layers.forEach(layer -> fields(layer).write(beside.bytes()));
    Layer.In in = layers.get(0).in();
    launch
        .of(KERNELS.get(layers.get(0).mix().y().shape().dim(1)))
        .dense(all)
        .number(layers.size())
        .dense(batch.slots())
        .dense(batch.positions())
        .dense(in.hidden())
        .dense(in.residual())
        .number(in.hidden().shape().dim(1))
        .dense(barrier)
        .overAll(context.multiprocessors());
  }

  private boolean fits(Layer layer, Batch batch) {
    Layer.In in = layer.in();
    Layer.Mix mix = layer.mix();
    Layer.Out out = layer.out();
    int modelDim = in.hidden().shape().dim(1);
    return KERNELS.containsKey(mix.y().shape().dim(1))
        && mix.scan().dims().heads() <= context.multiprocessors()
        && in.normed().dtype() == DType.I8
        && modelDim <= MOST_MODEL_DIM
        && areInFours(in.hidden(), in.residual(), mix.y(), out.z())
        && address(in.norm().weight()) % ((long) CudaTensor.FOUR * Float.BYTES) == 0
        && fitProducts(in)
        && new CudaConvStep(
                in.conv(),
                batch,
                (CudaTensor) in.convIn(),
                (CudaTensor) in.convState(),
                (CudaTensor) in.convOut())
            .fits((CudaTensor) in.products().get(0).out())
        && fits(mix)
        && out.rotates()
        && out.gate() instanceof Gate.Normed
        && out.mixed().dtype() == DType.I8
        && out.z().dtype() == DType.I8
        && CudaGate.canRotate(out.gate(), mix.y(), out.z(), out.mixed())
        && isFourBit(out.linear().weight())
        && !((CudaTensor) out.mixed()).isScaledByColumn()
        && fewTiles(modelDim, 0);
  }

  private boolean fitProducts(Layer.In in) {
    int count = in.products().size();
    if (count > 2
        || !in.products().stream().allMatch(product -> isFourBit(product.linear().weight()))
        || in.products().get(0).out().dtype() != DType.I8
        || (count == 2 && in.products().get(1).out().dtype() != DType.F32)) {
      return false;
    }
    int tail = count == 2 ? in.products().get(1).out().shape().dim(1) : 0;
    return fewTiles(in.products().get(0).out().shape().dim(1), tail);
  }

  private boolean fits(Layer.Mix mix) {
    CudaReplay.Inputs inputs =
        new CudaReplay.Inputs(
            (CudaTensor) mix.x(),
            (CudaTensor) mix.dt(),
            (CudaTensor) mix.b(),
            (CudaTensor) mix.c());
    boolean replays =
        mix.x().dtype() == DType.I8
            && scan.replays(mix.scan().dims())
            && mix.state() instanceof CudaState
            && inputs.areAligned();
    if (replays) {
      inputs.requireEqualScales(mix.scan().dims());
    }
    return replays;
  }

  private static boolean areInFours(Tensor... tensors) {
    for (Tensor tensor : tensors) {
      if (!((CudaTensor) tensor).isInFours()) {
        return false;
      }
    }
    return true;
  }

  private static boolean isFourBit(Tensor weight) {
    return weight instanceof CudaCodes codes && codes.hasFourBit();
  }

  private boolean fewTiles(int outputs, int tail) {
    int tiles = CudaLaunch.pieces(outputs, TILE) + CudaLaunch.pieces(tail, TILE);
    return tiles <= MOST_TILES * context.multiprocessors();
  }

  /** Whether two layers pass on the same residual stream, in the same sizes. */
  private static boolean isLike(Layer one, Layer other) {
    return address(one.in().hidden()) == address(other.in().hidden())
        && address(one.in().residual()) == address(other.in().residual())
        && one.in().hidden().shape().equals(other.in().hidden().shape())
        && one.mix().y().shape().equals(other.mix().y().shape());
  }

  private static long address(Tensor tensor) {
    return ((CudaTensor) tensor).address().value();
  }

  private static CudaLayerField.Values fields(Layer layer) {
    CudaLayerField.Values fields = new CudaLayerField.Values();
    in(layer.in(), fields);
    mix(layer.mix(), fields);
    Layer.Out out = layer.out();
    Gate.Normed gate = (Gate.Normed) out.gate();
    CudaCodes weight = (CudaCodes) out.linear().weight();
    fields
        .put(
            CudaLayerField.Z,
            CudaLayerField.Z_SCALE,
            CudaLayerField.Z_SCALE_STEP,
            (CudaTensor) out.z())
        .put(CudaLayerField.GATE_WEIGHT, (CudaTensor) gate.norm().weight())
        .put(CudaLayerField.GROUPS, gate.groups())
        .put(CudaLayerField.GATE_EPSILON, gate.norm().epsilon())
        .put(CudaLayerField.FACTOR, CudaRotate.factor(layer.mix().y().shape().dim(1)))
        .put(CudaLayerField.OUT_X_SCALE, ((CudaTensor) out.mixed()).scale())
        .put(CudaLayerField.OUT_WEIGHT, weight.fourBit())
        .put(CudaLayerField.OUT_ROW_SCALE, weight.rowScales());
    return fields;
  }

  private static void in(Layer.In in, CudaLayerField.Values fields) {
    CudaProduct first = CudaProduct.of(in.products().get(0));
    fields
        .put(CudaLayerField.NORM_WEIGHT, (CudaTensor) in.norm().weight())
        .put(CudaLayerField.NORM_EPSILON, in.norm().epsilon())
        .put(CudaLayerField.IN_X_SCALE, ((CudaTensor) in.normed()).scale())
        .put(CudaLayerField.IN_WEIGHT, first.weight().fourBit())
        .put(CudaLayerField.IN_ROW_SCALE, first.weight().rowScales())
        .put(
            CudaLayerField.IN_OUT,
            CudaLayerField.IN_OUT_SCALE,
            CudaLayerField.IN_OUT_SCALE_STEP,
            first.out())
        .put(CudaLayerField.IN_OUT_DIM, first.outDim());
    if (in.products().size() > 1) {
      CudaProduct tail = CudaProduct.of(in.products().get(1));
      fields
          .put(CudaLayerField.TAIL_WEIGHT, tail.weight().fourBit())
          .put(CudaLayerField.TAIL_ROW_SCALE, tail.weight().rowScales())
          .put(CudaLayerField.TAIL_OUT, tail.out())
          .put(CudaLayerField.TAIL_DIM, tail.outDim());
    }
    CudaTensor x = (CudaTensor) in.convIn();
    CudaTensor state = (CudaTensor) in.convState();
    fields
        .put(CudaLayerField.CONV_WEIGHT, (CudaTensor) in.conv().weight())
        .put(CudaLayerField.CONV_BIAS, (CudaTensor) in.conv().bias())
        .putScale(CudaLayerField.CONV_IN_SCALE, CudaLayerField.CONV_IN_SCALE_STEP, x)
        .put(CudaLayerField.CONV_STATE, state)
        .put(CudaLayerField.CONV_STATE_STRIDE, state.stride())
        .putScale(
            CudaLayerField.CONV_OUT_SCALE,
            CudaLayerField.CONV_OUT_SCALE_STEP,
            (CudaTensor) in.convOut())
        .put(
            CudaLayerField.CONV_FIRST,
            Math.toIntExact(x.address().value() - first.out().address().value()))
        .put(CudaLayerField.CHANNELS, x.shape().dim(1));
  }

  private static void mix(Layer.Mix mix, CudaLayerField.Values fields) {
    Scan p = mix.scan();
    CudaState state = (CudaState) mix.state();
    CudaTensor dt = (CudaTensor) mix.dt();
    fields
        .put(CudaLayerField.A, (CudaTensor) p.a())
        .put(CudaLayerField.DT_BIAS, (CudaTensor) p.dtBias())
        .put(CudaLayerField.SKIP, (CudaTensor) p.skip())
        .put(
            CudaLayerField.X,
            CudaLayerField.X_SCALE,
            CudaLayerField.X_SCALE_STEP,
            (CudaTensor) mix.x())
        .put(CudaLayerField.DT, dt)
        .put(
            CudaLayerField.B,
            CudaLayerField.B_SCALE,
            CudaLayerField.B_SCALE_STEP,
            (CudaTensor) mix.b())
        .put(
            CudaLayerField.C,
            CudaLayerField.C_SCALE,
            CudaLayerField.C_SCALE_STEP,
            (CudaTensor) mix.c())
        .put(CudaLayerField.STATE, state.elements())
        .put(CudaLayerField.STATE_STRIDE, state.elements().stride())
        .put(CudaLayerField.STATE_FORMAT, number(state.format()))
        .put(CudaLayerField.Y, (CudaTensor) mix.y())
        .put(CudaLayerField.HEADS, p.dims().heads())
        .put(CudaLayerField.HEADS_PER_GROUP, p.dims().heads() / p.dims().groups())
        .put(CudaLayerField.DT_MIN, p.limit().min())
        .put(CudaLayerField.DT_MAX, p.limit().max());
    if (dt.dtype() == DType.I8) {
      fields.putScale(CudaLayerField.DT_SCALE, CudaLayerField.DT_SCALE_STEP, dt);
    }
    if (state.format() instanceof ScanState.StaticScaled fixed) {
      fields.put(CudaLayerField.STATE_SCALE, (CudaTensor) fixed.scale());
    }
  }

  private static int number(ScanState format) {
    if (format instanceof ScanState.RowScaled) {
      return ROW_SCALED;
    }
    return format instanceof ScanState.StaticScaled ? STATIC_SCALED : HALF;
  }
}
