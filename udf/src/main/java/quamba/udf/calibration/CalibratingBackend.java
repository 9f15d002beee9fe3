package quamba.udf.calibration;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.Gate;
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
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.QuantizedNames.Tap;

/**
 * Shows an {@link Observer} what flows through a model of another backend, at the taps of {@link
 * quamba.udf.model.QuantizedNames}. Each norm begins a layer; the norm behind the last layer begins
 * the head. Only floats are shown.
 */
final class CalibratingBackend implements Backend {
  /** Where the head's input is seen, in a layer behind the last. */
  static final Tap HEAD_TAP = Tap.IN_PROJ_INPUT;

  private final Backend backend;
  private final ModelConfig config;
  private final Observer observer;
  private int layer = -1;
  private boolean gated; // whether the layer's gate is behind

  CalibratingBackend(Backend backend, ModelConfig config, Observer observer) {
    this.backend = backend;
    this.config = config;
    this.observer = observer;
  }

  private void show(Tap tap, Tensor tensor) {
    Site site = new Site(layer, tap);
    if (tensor.dtype() != DType.F32 || !observer.wants(site)) {
      return;
    }
    observer.saw(site, tensor.shape().dim(0), read(tensor));
  }

  private float[] read(Tensor tensor) {
    float[] values = new float[Math.toIntExact(tensor.shape().elements())];
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    backend.read(tensor, bytes);
    bytes.asFloatBuffer().get(values);
    return values;
  }

  @Override
  public Readback readback(Tensor source) {
    return backend.readback(source);
  }

  @Override
  public void begin(Tensor ids, Tensor chosen, Tensor residual) {
    layer = -1;
    backend.begin(ids, chosen, residual);
  }

  @Override
  public void embed(Tensor ids, Tensor table, Tensor out) {
    backend.embed(ids, table, out);
  }

  @Override
  public void norm(Norm p, Tensor x, Tensor residual, Tensor out) {
    layer = Math.min(layer + 1, config.layers());
    gated = false;
    backend.norm(p, x, residual, out);
    show(HEAD_TAP, out);
  }

  @Override
  public void linear(Linear p, Tensor x, Tensor out) {
    if (gated) {
      show(Tap.OUT_PROJ_INPUT, x);
    } else if (config.mixer() instanceof Mamba1 mamba1 && x.shape().dim(1) == mamba1.dtRank()) {
      show(Tap.DT_PROJ_INPUT, x);
    }
    backend.linear(p, x, out);
  }

  @Override
  public void conv(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    showConv(x, Tap.X_IN, Tap.B_IN, Tap.C_IN);
    backend.conv(p, batch, x, state, out);
    showConv(out, Tap.X_OUT, Tap.B_OUT, Tap.C_OUT);
  }

  private void showConv(Tensor all, Tap x, Tap b, Tap c) {
    int inner = config.mixer().innerDim();
    show(x, all.columns(0, inner));
    if (config.mixer() instanceof Mamba2 mamba2) {
      show(b, all.columns(inner, mamba2.bcDim()));
      show(c, all.columns(inner + mamba2.bcDim(), mamba2.bcDim()));
    }
  }

  @Override
  public void scan(
      Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out) {
    if (config.mixer() instanceof Mamba1) {
      show(Tap.B_OUT, b);
      show(Tap.C_OUT, c);
    }
    show(Tap.DT, dt);
    showState(p, x, dt, b);
    backend.scan(p, batch, x, dt, b, c, state, out);
  }

  /** Of the state, its elements' largest magnitudes, as if they were one token. */
  private void showState(Scan p, Tensor x, Tensor dt, Tensor b) {
    Site site = new Site(layer, Tap.STATE);
    if (x.dtype() == DType.F32 && observer.wants(site)) {
      StatePeaks peaks = new StatePeaks(p.dims(), read(p.a()), read(p.dtBias()), p.limit());
      observer.saw(site, 1, peaks.of(x.shape().dim(0), read(x), read(dt), read(b)));
    }
  }

  @Override
  public void gate(Gate p, Tensor y, Tensor z, Tensor out) {
    show(Tap.Z, z);
    gated = true;
    backend.gate(p, y, z, out);
  }

  @Override
  public void rotate(Tensor x, Tensor out) {
    backend.rotate(x, out);
  }

  @Override
  public void sample(Sample p, Batch batch, Tensor ids, Tensor logits, Tensor out) {
    backend.sample(p, batch, ids, logits, out);
  }

  @Override
  public Tensor upload(HostTensor source) {
    return backend.upload(source);
  }

  @Override
  public Tensor pack(HostTensor weight) {
    return backend.pack(weight);
  }

  @Override
  public Tensor pack(QuantizedWeight weight, DType input) {
    return backend.pack(weight, input);
  }

  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    return backend.allocate(dtype, shape);
  }

  @Override
  public Tensor allocateState(ScanState format, DType input, Scan.Dims dims, int slots) {
    return backend.allocateState(format, input, dims, slots);
  }

  @Override
  public void write(Tensor target, ByteBuffer source) {
    backend.write(target, source);
  }

  @Override
  public void read(Tensor source, ByteBuffer target) {
    backend.read(source, target);
  }

  @Override
  public void close() {
    backend.close();
  }
}
