package quamba.kernels.cuda;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import quamba.kernels.Backend;
import quamba.kernels.BackendUnavailableException;
import quamba.kernels.Batch;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.DeviceMemoryException;
import quamba.kernels.Gate;
import quamba.kernels.HostTensor;
import quamba.kernels.Linear;
import quamba.kernels.Norm;
import quamba.kernels.Product;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Readback;
import quamba.kernels.Recording;
import quamba.kernels.Sample;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/**
 * The operations on one NVIDIA GPU. Operations return before the device has done them; {@link
 * #read} waits. A fault of the device shows in whichever call comes next, as {@link
 * quamba.kernels.DeviceFaultException}.
 *
 * <p>Sums of codes are integers, all other arithmetic is in f32. 4-bit codes are held as the values
 * or the 8-bit codes that they stand for; on devices with warpgroups, for few rows, also as 4-bit
 * codes. Rounded states of most extents are held in f32, those of {@link CudaSlot} on such devices
 * as they were rounded, with the inputs since.
 */
public final class CudaBackend implements Backend {
  /** Large enough that copies run at the bus's speed. */
  private static final int STAGING_BYTES = 16 << 20;

  private final CudaContext context;
  private final CudaModules modules;
  private final CudaLaunch launch;
  private final CudaArena arena;
  private final CudaCopies copies;
  private final CudaStaging staging;
  private final CudaUpload upload;
  private final CudaLinear linear;
  private final CudaConv conv;
  private final CudaScan scan;
  private final CudaGate gate;
  private final CudaRotate rotate;
  private final List<CudaReadback> readbacks = new ArrayList<>();

  private CudaBackend(CudaContext context) {
    this.context = context;
    modules = new CudaModules(context.hasWarpgroups());
    launch = new CudaLaunch(context, modules);
    arena = new CudaArena(context);
    copies = new CudaCopies(context, launch);
    staging = new CudaStaging(context, copies, STAGING_BYTES);
    upload = new CudaUpload(arena, staging, context.hasWarpgroups());
    linear = new CudaLinear(launch, new CudaScratch(context, arena), context.multiprocessors());
    conv = new CudaConv(launch, context.multiprocessors());
    scan = new CudaScan(launch, context.hasWarpgroups());
    gate = new CudaGate(launch, context.hasWarpgroups(), context.multiprocessors());
    rotate = new CudaRotate(launch);
  }

  /**
   * A backend on the device with this number, among those that the driver shows.
   *
   * @throws BackendUnavailableException if there is no driver, no such device, or this build has no
   *     kernels for it
   * @throws DeviceMemoryException if the device has too little memory left
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
    return upload.upload(source);
  }

  /**
   * {@inheritDoc}
   *
   * @throws DeviceMemoryException if the device has too little memory left
   */
  @Override
  public Tensor pack(HostTensor weight) {
    return upload.pack(weight);
  }

  /**
   * {@inheritDoc}
   *
   * @throws DeviceMemoryException if the device has too little memory left
   */
  @Override
  public Tensor pack(QuantizedWeight weight, DType input) {
    return upload.pack(weight, input);
  }

  /**
   * {@inheritDoc}
   *
   * @throws DeviceMemoryException if the device has too little memory left
   */
  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    return upload.allocate(dtype, shape);
  }

  /**
   * {@inheritDoc}
   *
   * @throws DeviceMemoryException if the device has too little memory left
   */
  @Override
  public Tensor allocateState(ScanState format, DType input, Scan.Dims dims, int slots) {
    Shape shape = Shape.of(slots, dims.heads(), dims.headDim(), dims.stateDim());
    if (format instanceof ScanState.F32) {
      return upload.allocate(DType.F32, shape);
    }
    if (scan.replays(dims)) {
      Shape bytes = Shape.of(slots, new CudaSlot(format, input, dims).bytes());
      return CudaState.replayed(format, shape, upload.allocate(DType.I8, bytes));
    }
    return CudaState.inPlace(format, upload.allocate(DType.F32, shape));
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

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException if {@code source} is a view of columns
   */
  @Override
  public Readback readback(Tensor source) {
    CudaReadback readback = new CudaReadback(context, copies, (CudaTensor) source);
    readbacks.add(readback);
    return readback;
  }

  @Override
  public void begin(Tensor ids, Tensor chosen, Tensor residual) {
    int dim = residual.shape().dim(1);
    launch
        .of(CudaKernel.BEGIN_F32)
        .dense(ids)
        .dense(chosen)
        .strided(residual)
        .number(dim)
        .over(ids.shape().dim(0), CudaLaunch.pieces(dim, 4 * CudaKernel.BEGIN_F32.threads()), 1);
  }

  @Override
  public void embed(Tensor ids, Tensor table, Tensor out) {
    if (table instanceof CudaCodes codes) {
      launch
          .of(CudaKernel.EMBED_WIDE_I8_F32)
          .dense(ids)
          .dense(codes.eightBit())
          .dense(codes.rowScales())
          .strided(out)
          .number(codes.shape().dim(0));
    } else if (!(table instanceof CudaPacked packed)) {
      launch.of(CudaKernel.EMBED_F32_F32).dense(ids).strided(table).strided(out);
    } else if (packed.dtype() == DType.F32) {
      launch.of(CudaKernel.EMBED_PACKED_F32_F32).dense(ids).dense(packed.elements()).strided(out);
    } else {
      launch
          .of(CudaKernel.EMBED_PACKED_I8_F32)
          .dense(ids)
          .dense(packed.elements())
          .dense(packed.rowScales())
          .strided(out);
    }
    int dim = out.shape().dim(1);
    launch
        .number(dim)
        .over(ids.shape().dim(0), CudaLaunch.pieces(dim, CudaKernel.EMBED_F32_F32.threads()), 1);
  }

  @Override
  public void norm(Norm p, Tensor x, Tensor residual, Tensor out) {
    launch
        .of(out.dtype() == DType.I8 ? CudaKernel.NORM_F32_I8 : CudaKernel.NORM_F32_F32)
        .strided(x)
        .strided(residual)
        .dense(p.weight())
        .values(out)
        .number(x.shape().dim(1))
        .number(p.epsilon())
        .over(x.shape().dim(0), 1, 1);
  }

  @Override
  public void linear(Linear p, Tensor x, Tensor out) {
    linear.run((CudaOpaque) p.weight(), (CudaTensor) x, (CudaTensor) out);
  }

  @Override
  public void linears(Tensor x, List<Product> products) {
    linear.run((CudaTensor) x, products);
  }

  @Override
  public void linearsConv(
      Tensor x, List<Product> products, Conv p, Batch batch, Tensor in, Tensor state, Tensor out) {
    CudaConvStep step =
        new CudaConvStep(p, batch, (CudaTensor) in, (CudaTensor) state, (CudaTensor) out);
    if (!linear.runWith(step, (CudaTensor) x, products)) {
      linears(x, products);
      conv(p, batch, in, state, out);
    }
  }

  /** What launches matrix products, so that tests reach each of its forms. */
  CudaLinear linear() {
    return linear;
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException if the weight is wider than 8
   */
  @Override
  public void conv(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    conv.run(p, batch, x, state, out);
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException if stateDim is above 256, or above 64 where a is per state; or
   *     if scales of b or c differ within a group, for a state that is replayed
   */
  @Override
  public void scan(
      Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out) {
    scan.run(p, batch, x, dt, b, c, state, out);
  }

  @Override
  public void gate(Gate p, Tensor y, Tensor z, Tensor out) {
    gate.run(p, y, z, out);
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException if rows are wider than {@value CudaRotate#ROTATE_WIDEST}
   */
  @Override
  public void rotate(Tensor x, Tensor out) {
    rotate.run((CudaTensor) x, (CudaTensor) out);
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException if rows are wider than {@value CudaRotate#ROTATE_WIDEST}
   */
  @Override
  public void gateRotate(Gate p, Tensor y, Tensor z, Tensor out) {
    if (CudaGate.canRotate(p, y, z, out)) {
      gate.runRotated(p, y, z, out);
    } else {
      Backend.super.gateRotate(p, y, z, out);
    }
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
  public Recording record(Runnable operations) {
    return CudaGraph.capture(context, operations);
  }

  @Override
  public void close() {
    if (context.enterToClose()) {
      readbacks.forEach(CudaReadback::close);
      staging.close();
      arena.close();
      modules.close();
      context.close();
    }
  }
}
