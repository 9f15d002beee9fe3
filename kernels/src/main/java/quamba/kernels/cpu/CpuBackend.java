package quamba.kernels.cpu;

import java.nio.ByteBuffer;
import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.Gate;
import quamba.kernels.HostFloats;
import quamba.kernels.HostTensor;
import quamba.kernels.Linear;
import quamba.kernels.Norm;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Readback;
import quamba.kernels.Sample;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/**
 * The operations on the processor's cores, in single precision. Operations are done when they
 * return. Scratch memory grows to the largest call and is then kept.
 */
public final class CpuBackend implements Backend {
  private final CpuThreads threads;
  private final CpuEmbed embed;
  private final CpuNorm norm;
  private final CpuLinear linear;
  private final CpuConv conv;
  private final CpuScan scan;
  private final CpuGate gate;
  private final CpuRotate rotate;
  private final CpuSample sample;

  private CpuBackend(CpuThreads threads) {
    this.threads = threads;
    embed = new CpuEmbed(threads);
    norm = new CpuNorm(threads);
    linear = new CpuLinear(threads);
    conv = new CpuConv(threads);
    scan = new CpuScan(threads);
    gate = new CpuGate(threads);
    rotate = new CpuRotate(threads);
    sample = new CpuSample(threads);
  }

  /**
   * A backend that computes with {@code threads} threads, the calling thread being one of them.
   *
   * @throws IllegalArgumentException if threads is below 1
   */
  public static CpuBackend open(int threads) {
    return new CpuBackend(new CpuThreads(threads));
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException if the elements are neither floating-point, I32 nor I8
   */
  @Override
  public Tensor upload(HostTensor source) {
    DType dtype = source.dtype().isFloat() ? DType.F32 : source.dtype();
    CpuTensor tensor = CpuTensor.allocate(dtype, source.shape());
    if (source.dtype().isFloat()) {
      HostFloats.read(source, 0, tensor.floats().length, tensor.floats(), 0);
    } else {
      tensor.write(source.data());
    }
    return tensor;
  }

  @Override
  public Tensor pack(HostTensor weight) {
    return CpuPacked.of(weight);
  }

  @Override
  public Tensor pack(QuantizedWeight weight, DType input) {
    return CpuPacked.of(weight, input);
  }

  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    return CpuTensor.allocate(dtype, shape);
  }

  @Override
  public Tensor allocateState(ScanState format, DType input, Scan.Dims dims, int slots) {
    int stateDim = dims.stateDim();
    if (format instanceof ScanState.F16) {
      return new CpuState(DType.F16, dims, slots, new HalfRounding(stateDim));
    }
    if (format instanceof ScanState.RowScaled) {
      return new CpuState(DType.I8, dims, slots, new RowRounding(stateDim));
    }
    if (format instanceof ScanState.StaticScaled fixed) {
      StateRounding rounding = new StaticRounding((CpuTensor) fixed.scale());
      return new CpuState(DType.I8, dims, slots, rounding);
    }
    return allocate(DType.F32, Shape.of(slots, dims.heads(), dims.headDim(), stateDim));
  }

  @Override
  public void write(Tensor target, ByteBuffer source) {
    ((CpuTensor) target).write(source);
  }

  @Override
  public void read(Tensor source, ByteBuffer target) {
    ((CpuTensor) source).read(target);
  }

  @Override
  public Readback readback(Tensor source) {
    return new CpuReadback((CpuTensor) source);
  }

  @Override
  public void begin(Tensor ids, Tensor chosen, Tensor residual) {
    embed.begin((CpuTensor) ids, (CpuTensor) chosen, (CpuTensor) residual);
  }

  @Override
  public void embed(Tensor ids, Tensor table, Tensor out) {
    embed.run((CpuTensor) ids, table, (CpuTensor) out);
  }

  @Override
  public void norm(Norm p, Tensor x, Tensor residual, Tensor out) {
    norm.run(p, (CpuTensor) x, (CpuTensor) residual, (CpuTensor) out);
  }

  @Override
  public void linear(Linear p, Tensor x, Tensor out) {
    linear.run(p, (CpuTensor) x, (CpuTensor) out);
  }

  @Override
  public void conv(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    conv.run(p, CpuBatch.of(batch), (CpuTensor) x, (CpuTensor) state, (CpuTensor) out);
  }

  @Override
  public void scan(
      Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out) {
    boolean rounded = state instanceof CpuState;
    scan.run(
        new ScanCall(
            p,
            CpuBatch.of(batch),
            (CpuTensor) x,
            (CpuTensor) dt,
            (CpuTensor) b,
            (CpuTensor) c,
            rounded ? ((CpuState) state).floats() : (CpuTensor) state,
            rounded ? ((CpuState) state).rounding() : StateRounding.NONE,
            (CpuTensor) out));
  }

  @Override
  public void gate(Gate p, Tensor y, Tensor z, Tensor out) {
    gate.run(p, (CpuTensor) y, (CpuTensor) z, (CpuTensor) out);
  }

  @Override
  public void rotate(Tensor x, Tensor out) {
    rotate.run((CpuTensor) x, (CpuTensor) out);
  }

  @Override
  public void sample(Sample p, Batch batch, Tensor ids, Tensor logits, Tensor out) {
    sample.run(p, CpuBatch.of(batch), (CpuTensor) ids, (CpuTensor) logits, (CpuTensor) out);
  }

  @Override
  public void close() {
    threads.close();
  }
}
