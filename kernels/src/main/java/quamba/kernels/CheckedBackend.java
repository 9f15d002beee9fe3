package quamba.kernels;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * Checks the dtypes and shapes of every call before another backend sees it, that they are of a
 * combination that there is, and that a matrix product's weight was packed for its input. What lies
 * in device memory (ids, slots, starts, scales) is not looked at.
 *
 * <p>All methods throw {@link IllegalArgumentException} that names the operation, the argument,
 * what was expected ({@code *} for any extent) and what was found.
 */
public final class CheckedBackend implements Backend {
  private final Backend backend;
  private final Checks checks = new Checks();

  /** Checks calls to {@code backend}, which is closed with this. */
  public CheckedBackend(Backend backend) {
    this.backend = backend;
  }

  @Override
  public Tensor upload(HostTensor source) {
    return backend.upload(source);
  }

  @Override
  public Tensor pack(HostTensor weight) {
    checks.packing(weight);
    return checks.packed(backend.pack(weight), DType.F32);
  }

  @Override
  public Tensor pack(QuantizedWeight weight, DType input) {
    checks.input("pack", input);
    return checks.packed(backend.pack(weight, input), input);
  }

  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    return backend.allocate(dtype, shape);
  }

  @Override
  public Tensor allocateState(ScanState format, DType input, Scan.Dims dims, int slots) {
    checks.making(format, input, dims);
    return checks.made(backend.allocateState(format, input, dims, slots), format, input, dims);
  }

  @Override
  public void write(Tensor target, ByteBuffer source) {
    checks.copy("write source", target, source);
    backend.write(target, source);
  }

  @Override
  public void read(Tensor source, ByteBuffer target) {
    checks.copy("read target", source, target);
    backend.read(source, target);
  }

  @Override
  public Readback readback(Tensor source) {
    Readback readback = backend.readback(source);
    return new Readback() {
      @Override
      public void begin() {
        readback.begin();
      }

      @Override
      public boolean isDone() {
        return readback.isDone();
      }

      @Override
      public void await(ByteBuffer target) {
        checks.copyOfFirst("readback target", source, target);
        readback.await(target);
      }
    };
  }

  @Override
  public void begin(Tensor ids, Tensor chosen, Tensor residual) {
    checks.begin(ids, chosen, residual);
    backend.begin(ids, chosen, residual);
  }

  @Override
  public void embed(Tensor ids, Tensor table, Tensor out) {
    checks.embed(ids, table, out);
    backend.embed(ids, table, out);
  }

  @Override
  public void norm(Norm p, Tensor x, Tensor residual, Tensor out) {
    checks.norm(p, x, residual, out);
    backend.norm(p, x, residual, out);
  }

  @Override
  public void linear(Linear p, Tensor x, Tensor out) {
    checks.linear(p, x, out);
    backend.linear(p, x, out);
  }

  @Override
  public void linears(Tensor x, List<Product> products) {
    products.forEach(product -> checks.linear(product.linear(), x, product.out()));
    backend.linears(x, products);
  }

  @Override
  public void conv(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    checks.conv(p, batch, x, state, out);
    backend.conv(p, batch, x, state, out);
  }

  @Override
  public void linearsConv(
      Tensor x, List<Product> products, Conv p, Batch batch, Tensor in, Tensor state, Tensor out) {
    products.forEach(product -> checks.linear(product.linear(), x, product.out()));
    checks.conv(p, batch, in, state, out);
    backend.linearsConv(x, products, p, batch, in, state, out);
  }

  @Override
  public void scan(
      Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out) {
    checks.scan(p, batch, x, dt, b, c, state, out);
    backend.scan(p, batch, x, dt, b, c, state, out);
  }

  @Override
  public void gate(Gate p, Tensor y, Tensor z, Tensor out) {
    checks.gate(p, y, z, out);
    backend.gate(p, y, z, out);
  }

  @Override
  public void rotate(Tensor x, Tensor out) {
    checks.rotate(x, out);
    backend.rotate(x, out);
  }

  @Override
  public void gateRotate(Gate p, Tensor y, Tensor z, Tensor out) {
    checks.gate(p, y, z, out);
    checks.rotate(y, out);
    backend.gateRotate(p, y, z, out);
  }

  @Override
  public void sample(Sample p, Batch batch, Tensor ids, Tensor logits, Tensor out) {
    checks.sample(p, batch, ids, logits, out);
    backend.sample(p, batch, ids, logits, out);
  }

  @Override
  public Recording record(Runnable operations) {
    return backend.record(operations);
  }

  @Override
  public void close() {
    checks.clear();
    backend.close();
  }
}
