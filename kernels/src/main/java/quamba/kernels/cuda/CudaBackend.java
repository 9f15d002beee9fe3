package quamba.kernels.cuda;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import quamba.kernels.Backend;
import quamba.kernels.BackendUnavailableException;
import quamba.kernels.Batch;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.DeviceMemoryException;
import quamba.kernels.Gate;
import quamba.kernels.HostFloats;
import quamba.kernels.HostTensor;
import quamba.kernels.Linear;
import quamba.kernels.Norm;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Sample;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/**
 * The operations on one NVIDIA GPU, in single precision. Operations return before the device has
 * done them; {@link #read} waits. A fault of the device shows in whichever call comes next, as
 * {@link quamba.kernels.DeviceFaultException}.
 */
public final class CudaBackend implements Backend {
  /** Large enough that copies run at the bus's speed. */
  private static final int STAGING_BYTES = 16 << 20;

  /** Rows of one block, as in {@code linear.cu}. */
  static final int LINEAR_ROWS = 64;

  /** The widest convolution, as in {@code conv.cu}. */
  static final int CONV_WIDEST = 8;

  /** Channels of one block of scan_heads, as in {@code scan.cu}. */
  static final int BLOCK_CHANNELS = 16;

  /** The most states of each form, as in {@code scan.cu}. */
  static final int HEADS_STATES = 128;

  static final int HEADS_WIDE_STATES = 256;
  static final int CHANNELS_STATES = 16;
  static final int CHANNELS_WIDE_STATES = 64;

  private final CudaContext context;
  private final CudaModules modules;
  private final CudaLaunch launch;
  private final CudaArena arena;
  private final CudaStaging staging;

  private CudaBackend(CudaContext context) {
    this.context = context;
    modules = new CudaModules();
    launch = new CudaLaunch(context, modules);
    arena = new CudaArena(context);
    staging = new CudaStaging(context, STAGING_BYTES);
  }

  /**
   * A backend on the device with this number, among those that the driver shows.
   *
   * @throws BackendUnavailableException if there is no driver, no such device, or this build has no
   *     kernels for it
   */
  public static CudaBackend open(int deviceOrdinal) {
    CudaContext context = CudaContext.open(deviceOrdinal);
    try {
      return new CudaBackend(context);
    } catch (RuntimeException | Error e) {
      context.close(); // frees whatever the backend had already taken
      throw e;
    }
  }

  /**
   * {@inheritDoc}
   *
   * @throws DeviceMemoryException if the device has too little memory left
   */
  @Override
  public Tensor upload(HostTensor source) {
    DType dtype = source.dtype().isFloat() ? DType.F32 : source.dtype();
    CudaTensor tensor = allocate(dtype, source.shape());
    if (source.dtype() == dtype) {
      staging.write(tensor.address(), source.data().duplicate());
    } else {
      widen(source, tensor.address());
    }
    return tensor;
  }

  private void widen(HostTensor source, CudaAddress target) {
    int elements = Math.toIntExact(source.shape().elements());
    int most = staging.capacity() / Float.BYTES;
    float[] piece = new float[Math.min(elements, most)];
    for (int from = 0; from < elements; from += most) {
      int count = Math.min(most, elements - from);
      HostFloats.read(source, from, count, piece, 0);
      staging.reserve(count * Float.BYTES).asFloatBuffer().put(piece, 0, count);
      staging.send(target.plus((long) from * Float.BYTES), count * Float.BYTES);
    }
  }

  /**
   * {@inheritDoc}
   *
   * @throws DeviceMemoryException if the device has too little memory left
   */
  @Override
  public Tensor pack(HostTensor weight) {
    CudaPacking packing = new CudaPacking(weight.shape().dim(0), weight.shape().dim(1));
    long bytes = packing.length() * Float.BYTES;
    CudaAddress address = arena.allocate(bytes, "packed matrix " + weight.shape());
    int groupBytes = CudaPacking.PANEL * CudaPacking.GROUP * Float.BYTES;
    int most = staging.capacity() / groupBytes;
    for (int panel = 0; panel < packing.panels(); panel++) {
      for (int first = 0; first < packing.groups(); first += most) {
        int count = Math.min(most, packing.groups() - first);
        FloatBuffer piece = staging.reserve(count * groupBytes).asFloatBuffer();
        packing.pack(weight, panel, first, count, piece);
        long at = packing.index(panel * CudaPacking.PANEL, first * CudaPacking.GROUP);
        staging.send(address.plus(at * Float.BYTES), count * groupBytes);
      }
    }
    return CudaTensor.packed(DType.F32, weight.shape(), address);
  }

  /**
   * {@inheritDoc}
   *
   * @throws UnsupportedOperationException if input is not F32
   * @throws DeviceMemoryException if the device has too little memory left
   */
  @Override
  public Tensor pack(QuantizedWeight weight, DType input) {
    requireFloats(input == DType.F32, "products of codes");
    float[] values = new float[Math.multiplyExact(weight.out(), weight.in())];
    for (int row = 0; row < weight.out(); row++) {
      weight.read(row, values, row * weight.in());
    }
    return pack(HostTensor.of(Shape.of(weight.out(), weight.in()), values));
  }

  /**
   * {@inheritDoc}
   *
   * @throws DeviceMemoryException if the device has too little memory left
   */
  @Override
  public CudaTensor allocate(DType dtype, Shape shape) {
    long bytes = Math.multiplyExact(shape.elements(), (long) dtype.bytes());
    return CudaTensor.dense(dtype, shape, arena.allocate(bytes, dtype + " tensor " + shape));
  }

  /**
   * {@inheritDoc}
   *
   * @throws UnsupportedOperationException if format is not F32
   * @throws DeviceMemoryException if the device has too little memory left
   */
  @Override
  public Tensor allocateState(ScanState format, Scan.Dims dims, int slots) {
    requireFloats(format instanceof ScanState.F32, "rounded states");
    return allocate(DType.F32, Shape.of(slots, dims.heads(), dims.headDim(), dims.stateDim()));
  }

  private static void requireFloats(boolean floats, String what) {
    if (!floats) {
      throw new UnsupportedOperationException("the cuda backend computes in f32, without " + what);
    }
  }

  @Override
  public void write(Tensor target, ByteBuffer source) {
    CudaTensor tensor = (CudaTensor) target;
    ByteBuffer bytes = source.duplicate();
    if (tensor.isDense()) {
      staging.write(tensor.address(), bytes);
    } else {
      int entryBytes = Math.toIntExact(tensor.entryBytes());
      for (int entry = 0; entry < tensor.entries(); entry++) {
        staging.write(
            tensor.entry(entry), bytes.slice(bytes.position() + entry * entryBytes, entryBytes));
      }
    }
  }

  @Override
  public void read(Tensor source, ByteBuffer target) {
    CudaTensor tensor = (CudaTensor) source;
    ByteBuffer bytes = target.duplicate();
    if (tensor.isDense()) {
      staging.read(tensor.address(), bytes);
    } else {
      int entryBytes = Math.toIntExact(tensor.entryBytes());
      for (int entry = 0; entry < tensor.entries(); entry++) {
        staging.read(
            tensor.entry(entry), bytes.slice(bytes.position() + entry * entryBytes, entryBytes));
      }
    }
  }

  @Override
  public void embed(Tensor ids, Tensor table, Tensor out) {
    if (((CudaTensor) table).isPacked()) {
      launch.of(CudaKernel.EMBED_PACKED_F32_F32).dense(ids).dense(table);
    } else {
      launch.of(CudaKernel.EMBED_F32_F32).dense(ids).strided(table);
    }
    launch.strided(out).number(out.shape().dim(1)).over(ids.shape().dim(0), 1, 1);
  }

  @Override
  public void norm(Norm p, Tensor x, Tensor residual, Tensor out) {
    launch
        .of(CudaKernel.NORM_F32_F32)
        .strided(x)
        .strided(residual)
        .dense(p.weight())
        .strided(out)
        .number(x.shape().dim(1))
        .number(p.epsilon())
        .over(x.shape().dim(0), 1, 1);
  }

  @Override
  public void linear(Linear p, Tensor x, Tensor out) {
    int n = x.shape().dim(0);
    int in = x.shape().dim(1);
    int outDim = out.shape().dim(1);
    launch
        .of(CudaKernel.LINEAR_F32_F32_F32)
        .dense(p.weight())
        .strided(x)
        .strided(out)
        .number(n)
        .number(in)
        .number(outDim)
        .over(pieces(outDim, CudaPacking.PANEL), pieces(n, LINEAR_ROWS), 1);
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException if the weight is wider than 8
   */
  @Override
  public void conv(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    CudaKernel kernel = CudaKernel.CONV_F32_F32_F32;
    int channels = x.shape().dim(1);
    int convWidth = p.weight().shape().dim(1);
    requireAtMost("convWidth", convWidth, CONV_WIDEST);
    launch
        .of(kernel)
        .batch(batch)
        .dense(p.weight())
        .dense(p.bias())
        .strided(x)
        .strided(state)
        .strided(out)
        .number(channels)
        .number(convWidth)
        .over(batch.rows(), pieces(channels, kernel.threads()), 1);
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException if stateDim is above 256, or above 64 where a is per state
   */
  @Override
  public void scan(
      Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out) {
    boolean perHead = p.a().shape().rank() == 1;
    Scan.Dims dims = p.dims();
    CudaKernel kernel = perHead ? scanHeads(dims.stateDim()) : scanChannels(dims.stateDim());
    launch
        .of(kernel)
        .batch(batch)
        .dense(p.a())
        .dense(p.dtBias())
        .dense(p.skip())
        .strided(x)
        .strided(dt)
        .strided(b)
        .strided(c)
        .strided(state)
        .strided(out);
    if (perHead) {
      launch
          .number(dims.headDim())
          .number(dims.stateDim())
          .number(dims.heads() / dims.groups())
          .number(p.limit().min())
          .number(p.limit().max())
          .over(batch.rows(), dims.heads(), pieces(dims.headDim(), BLOCK_CHANNELS));
    } else {
      launch
          .number(dims.heads())
          .number(dims.stateDim())
          .number(p.limit().min())
          .number(p.limit().max())
          .over(batch.rows(), pieces(dims.heads(), kernel.threads()), 1);
    }
  }

  private static CudaKernel scanHeads(int stateDim) {
    requireAtMost("stateDim", stateDim, HEADS_WIDE_STATES);
    return stateDim <= HEADS_STATES
        ? CudaKernel.SCAN_HEADS_F32_F32_F32
        : CudaKernel.SCAN_HEADS_WIDE_F32_F32_F32;
  }

  private static CudaKernel scanChannels(int stateDim) {
    requireAtMost("stateDim", stateDim, CHANNELS_WIDE_STATES);
    return stateDim <= CHANNELS_STATES
        ? CudaKernel.SCAN_CHANNELS_F32_F32_F32
        : CudaKernel.SCAN_CHANNELS_WIDE_F32_F32_F32;
  }

  @Override
  public void gate(Gate p, Tensor y, Tensor z, Tensor out) {
    int n = y.shape().dim(0);
    int innerDim = y.shape().dim(1);
    if (p instanceof Gate.Normed normed) {
      launch
          .of(CudaKernel.GATE_NORM_F32_F32)
          .strided(y)
          .strided(z)
          .dense(normed.norm().weight())
          .strided(out)
          .number(innerDim / normed.groups())
          .number(normed.norm().epsilon())
          .over(n, normed.groups(), 1);
    } else {
      CudaKernel kernel = CudaKernel.GATE_F32_F32;
      launch
          .of(kernel)
          .strided(y)
          .strided(z)
          .strided(out)
          .number(innerDim)
          .over(n, pieces(innerDim, kernel.threads()), 1);
    }
  }

  /**
   * {@inheritDoc}
   *
   * @throws UnsupportedOperationException always
   */
  @Override
  public void rotate(Tensor x, Tensor out) {
    throw new UnsupportedOperationException("the cuda backend has no rotation");
  }

  @Override
  public void sample(Sample p, Batch batch, Tensor ids, Tensor logits, Tensor out) {
    launch
        .of(CudaKernel.SAMPLE_F32)
        .batch(batch)
        .dense(p.options())
        .dense(p.keys())
        .strided(p.seen())
        .dense(ids)
        .strided(logits)
        .dense(out)
        .number(logits.shape().dim(0))
        .number(p.seen().shape().dim(1))
        .over(batch.rows(), 1, 1);
  }

  @Override
  public void close() {
    if (context.enterToClose()) {
      staging.close();
      arena.close();
      modules.close();
      context.close();
    }
  }

  private static int pieces(int whole, int piece) {
    return (whole + piece - 1) / piece;
  }

  /** The backend has no kernel for more. */
  private static void requireAtMost(String what, int found, int most) {
    if (found > most) {
      throw new IllegalArgumentException(
          "%s: the cuda backend has kernels up to %d, found %d".formatted(what, most, found));
    }
  }
}
