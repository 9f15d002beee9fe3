package quamba.kernels;

import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/**
 * Checks the dtypes and shapes of every call before another backend sees it, and that a matrix
 * product's weight was packed. What lies in device memory (ids, slots, starts) is not looked at.
 *
 * <p>All methods throw {@link IllegalArgumentException} that names the operation, the argument,
 * what was expected ({@code *} for any extent) and what was found.
 */
public final class CheckedBackend implements Backend {
  private static final int ANY = -1;

  private final Backend backend;
  private final Set<Tensor> packed = Collections.newSetFromMap(new IdentityHashMap<>());

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
    if (!weight.dtype().isFloat() || weight.shape().rank() != 2) {
      throw new IllegalArgumentException(
          "pack weight: expected a floating-point matrix, found %s %s"
              .formatted(weight.dtype(), weight.shape()));
    }
    Tensor tensor = backend.pack(weight);
    packed.add(tensor);
    return tensor;
  }

  @Override
  public Tensor allocate(DType dtype, Shape shape) {
    return backend.allocate(dtype, shape);
  }

  @Override
  public void write(Tensor target, ByteBuffer source) {
    checkSize("write source", target, source);
    backend.write(target, source);
  }

  @Override
  public void read(Tensor source, ByteBuffer target) {
    checkSize("read target", source, target);
    backend.read(source, target);
  }

  @Override
  public void embed(Tensor ids, Tensor table, Tensor out) {
    check("embed ids", ids, DType.I32, ANY);
    if (packed.contains(table)) {
      checkShape("embed table", table, ANY, ANY);
    } else {
      check("embed table", table, DType.F32, ANY, ANY);
    }
    check("embed out", out, DType.F32, ids.shape().dim(0), table.shape().dim(1));
    backend.embed(ids, table, out);
  }

  @Override
  public void norm(Norm p, Tensor x, Tensor residual, Tensor out) {
    check("norm x", x, DType.F32, ANY, ANY);
    int n = x.shape().dim(0);
    int modelDim = x.shape().dim(1);
    check("norm weight", p.weight(), DType.F32, modelDim);
    check("norm residual", residual, DType.F32, n, modelDim);
    check("norm out", out, DType.F32, n, modelDim);
    backend.norm(p, x, residual, out);
  }

  @Override
  public void linear(Linear p, Tensor x, Tensor out) {
    if (!packed.contains(p.weight())) {
      throw new IllegalArgumentException(
          "linear weight: expected a packed matrix, found " + describe(p.weight()));
    }
    checkShape("linear weight", p.weight(), ANY, ANY);
    check("linear x", x, DType.F32, ANY, p.weight().shape().dim(1));
    check("linear out", out, DType.F32, x.shape().dim(0), p.weight().shape().dim(0));
    if (x == out) {
      throw new IllegalArgumentException("linear out: expected a tensor apart from x, found x");
    }
    backend.linear(p, x, out);
  }

  @Override
  public void conv(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    checkBatch("conv", batch);
    check("conv x", x, DType.F32, batch.tokens(), ANY);
    int channels = x.shape().dim(1);
    check("conv weight", p.weight(), DType.F32, channels, ANY);
    check("conv bias", p.bias(), DType.F32, channels);
    check("conv state", state, DType.F32, ANY, p.weight().shape().dim(1) - 1, channels);
    check("conv out", out, DType.F32, batch.tokens(), channels);
    backend.conv(p, batch, x, state, out);
  }

  @Override
  public void scan(
      Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out) {
    Scan.Dims dims = p.dims();
    checkBatch("scan", batch);
    if (p.a().shape().rank() == 2) {
      check("scan a", p.a(), DType.F32, dims.heads(), dims.stateDim());
      if (dims.headDim() != 1 || dims.groups() != 1) {
        throw new IllegalArgumentException(
            "scan dims: expected headDim 1 and groups 1 as a is per state, found " + dims);
      }
    } else {
      check("scan a", p.a(), DType.F32, dims.heads());
    }
    check("scan dtBias", p.dtBias(), DType.F32, dims.heads());
    check("scan skip", p.skip(), DType.F32, dims.heads());
    int tokens = batch.tokens();
    check("scan x", x, DType.F32, tokens, dims.innerDim());
    check("scan dt", dt, DType.F32, tokens, dims.heads());
    check("scan b", b, DType.F32, tokens, dims.groups() * dims.stateDim());
    check("scan c", c, DType.F32, tokens, dims.groups() * dims.stateDim());
    check("scan state", state, DType.F32, ANY, dims.heads(), dims.headDim(), dims.stateDim());
    check("scan out", out, DType.F32, tokens, dims.innerDim());
    backend.scan(p, batch, x, dt, b, c, state, out);
  }

  @Override
  public void gate(Gate p, Tensor y, Tensor z, Tensor out) {
    check("gate y", y, DType.F32, ANY, ANY);
    int n = y.shape().dim(0);
    int innerDim = y.shape().dim(1);
    check("gate z", z, DType.F32, n, innerDim);
    check("gate out", out, DType.F32, n, innerDim);
    if (p instanceof Gate.Normed normed) {
      check("gate norm weight", normed.norm().weight(), DType.F32, innerDim);
      if (normed.groups() < 1 || innerDim % normed.groups() != 0) {
        throw new IllegalArgumentException(
            "gate groups: expected a divisor of innerDim %d, found %d"
                .formatted(innerDim, normed.groups()));
      }
    }
    backend.gate(p, y, z, out);
  }

  @Override
  public void sample(Sample p, Batch batch, Tensor ids, Tensor logits, Tensor out) {
    checkBatch("sample", batch);
    check("sample options", p.options(), DType.F32, ANY, Sample.OPTIONS);
    int slots = p.options().shape().dim(0);
    check("sample keys", p.keys(), DType.I32, slots, 4);
    check("sample seen", p.seen(), DType.I8, slots, ANY);
    check("sample ids", ids, DType.I32, batch.tokens());
    check("sample logits", logits, DType.F32, ANY, ANY);
    int n = logits.shape().dim(0);
    int vocab = p.seen().shape().dim(1);
    if (n > batch.rows() || logits.shape().dim(1) < vocab) {
      throw new IllegalArgumentException(
          "sample logits: expected at most %d rows of at least %d columns, found %s"
              .formatted(batch.rows(), vocab, describe(logits)));
    }
    check("sample out", out, DType.I32, n);
    backend.sample(p, batch, ids, logits, out);
  }

  @Override
  public void close() {
    packed.clear();
    backend.close();
  }

  private void checkBatch(String operation, Batch batch) {
    if (batch.rows() < 1 || batch.tokens() < batch.rows()) {
      throw new IllegalArgumentException(
          "%s batch: expected at least 1 row and a token a row, found %d rows and %d tokens"
              .formatted(operation, batch.rows(), batch.tokens()));
    }
    check(operation + " batch slots", batch.slots(), DType.I32, batch.rows());
    check(operation + " batch starts", batch.starts(), DType.I32, batch.rows() + 1);
    check(operation + " batch positions", batch.positions(), DType.I32, batch.rows());
  }

  private void check(String name, Tensor tensor, DType dtype, int... dims) {
    if (packed.contains(tensor)) {
      throw new IllegalArgumentException(
          "%s: expected %s %s, found a packed matrix %s"
              .formatted(name, dtype, pattern(dims), tensor.shape()));
    }
    if (tensor.dtype() != dtype || !fits(tensor.shape(), dims)) {
      throw new IllegalArgumentException(
          "%s: expected %s %s, found %s".formatted(name, dtype, pattern(dims), describe(tensor)));
    }
  }

  private static void checkShape(String name, Tensor tensor, int... dims) {
    if (!fits(tensor.shape(), dims)) {
      throw new IllegalArgumentException(
          "%s: expected %s, found %s".formatted(name, pattern(dims), tensor.shape()));
    }
  }

  private static void checkSize(String name, Tensor tensor, ByteBuffer buffer) {
    long expected = tensor.shape().elements() * tensor.dtype().bytes();
    if (buffer.remaining() != expected) {
      throw new IllegalArgumentException(
          "%s: expected %d bytes for %s, found %d"
              .formatted(name, expected, describe(tensor), buffer.remaining()));
    }
  }

  private static boolean fits(Shape shape, int[] dims) {
    boolean fits = shape.rank() == dims.length;
    for (int axis = 0; fits && axis < dims.length; axis++) {
      fits = dims[axis] == ANY || dims[axis] == shape.dim(axis);
    }
    return fits;
  }

  private static String pattern(int[] dims) {
    StringBuilder text = new StringBuilder("(");
    for (int axis = 0; axis < dims.length; axis++) {
      text.append(axis == 0 ? "" : ", ").append(dims[axis] == ANY ? "*" : dims[axis]);
    }
    return text.append(')').toString();
  }

  private static String describe(Tensor tensor) {
    return tensor.dtype() + " " + tensor.shape();
  }
}
