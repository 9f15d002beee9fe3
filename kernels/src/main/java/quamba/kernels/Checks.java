package quamba.kernels;

import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * What {@link CheckedBackend} holds against the arguments of an operation; a method an operation.
 * All throw {@link IllegalArgumentException} as it says.
 */
final class Checks {
  private static final int ANY = -1;
  private static final List<DType> FLOATS = List.of(DType.F32);
  private static final List<DType> FLOATS_OR_CODES = List.of(DType.F32, DType.I8);

  private final IdentityHashMap<Tensor, DType> packed =
      new IdentityHashMap<>(); // with what they multiply
  private final IdentityHashMap<Tensor, Made> states =
      new IdentityHashMap<>(); // those that are rounded
  private final Set<Integer> rotated = new HashSet<>(); // sizes that there is a transform of

  /** For what a state was made. */
  private record Made(DType input, Scan.Dims dims) {}

  /** A matrix to be packed. */
  void packing(HostTensor weight) {
    if (!weight.dtype().isFloat() || weight.shape().rank() != 2) {
      throw new IllegalArgumentException(
          "pack weight: expected a floating-point matrix, found %s %s"
              .formatted(weight.dtype(), weight.shape()));
    }
  }

  /** What a packed matrix or a state, as {@code what} says, will meet. */
  void input(String what, DType input) {
    if (!FLOATS_OR_CODES.contains(input)) {
      throw new IllegalArgumentException(what + " input: expected F32 or I8, found " + input);
    }
  }

  /** From now on, this is a packed matrix. */
  Tensor packed(Tensor matrix, DType input) {
    packed.put(matrix, input);
    return matrix;
  }

  /** A state to be made. */
  void making(ScanState format, DType input, Scan.Dims dims) {
    input("state", input);
    if (format instanceof ScanState.StaticScaled fixed) {
      int[] expected = {dims.heads(), dims.headDim(), dims.stateDim()};
      check("state scale", fixed.scale(), DType.F32, expected);
    }
  }

  /** From now on, this is a state, rounded unless its format is f32. */
  Tensor made(Tensor state, ScanState format, DType input, Scan.Dims dims) {
    if (!(format instanceof ScanState.F32)) {
      states.put(state, new Made(input, dims));
    }
    return state;
  }

  /** A copy between a tensor and the host. */
  void copy(String name, Tensor tensor, ByteBuffer buffer) {
    long expected = tensor.shape().elements() * tensor.dtype().bytes();
    if (buffer.remaining() != expected) {
      throw new IllegalArgumentException(
          "%s: expected %d bytes for %s, found %d"
              .formatted(name, expected, describe(tensor), buffer.remaining()));
    }
  }

  /** A copy of a tensor's first elements to the host. */
  void copyOfFirst(String name, Tensor tensor, ByteBuffer buffer) {
    long most = tensor.shape().elements() * tensor.dtype().bytes();
    if (buffer.remaining() > most) {
      throw new IllegalArgumentException(
          "%s: expected at most %d bytes for %s, found %d"
              .formatted(name, most, describe(tensor), buffer.remaining()));
    }
  }

  void begin(Tensor ids, Tensor chosen, Tensor residual) {
    check("begin ids", ids, DType.I32, ANY);
    check("begin chosen", chosen, DType.I32, ANY);
    check("begin residual", residual, DType.F32, ids.shape().dim(0), ANY);
  }

  void embed(Tensor ids, Tensor table, Tensor out) {
    check("embed ids", ids, DType.I32, ANY);
    if (packed.containsKey(table)) {
      checkShape("embed table", table, ANY, ANY);
    } else {
      check("embed table", table, DType.F32, ANY, ANY);
    }
    check("embed out", out, DType.F32, ids.shape().dim(0), table.shape().dim(1));
  }

  void norm(Norm p, Tensor x, Tensor residual, Tensor out) {
    check("norm x", x, DType.F32, ANY, ANY);
    int n = x.shape().dim(0);
    int modelDim = x.shape().dim(1);
    check("norm weight", p.weight(), DType.F32, modelDim);
    check("norm residual", residual, DType.F32, n, modelDim);
    checkValues("norm out", out, FLOATS_OR_CODES, n, modelDim);
  }

  void linear(Linear p, Tensor x, Tensor out) {
    DType input = packed.get(p.weight());
    if (input == null) {
      throw new IllegalArgumentException(
          "linear weight: expected a packed matrix, found " + describe(p.weight()));
    }
    checkShape("linear weight", p.weight(), ANY, ANY);
    checkValues("linear x", x, List.of(input), ANY, p.weight().shape().dim(1));
    if (input == DType.I8 && !fits(x.scale().shape(), new int[] {1})) {
      throw new IllegalArgumentException(
          "linear x: expected one scale for all columns, found " + x.scale().shape());
    }
    List<DType> outs = input == DType.I8 ? FLOATS_OR_CODES : FLOATS;
    checkValues("linear out", out, outs, x.shape().dim(0), p.weight().shape().dim(0));
    if (x == out) {
      throw new IllegalArgumentException("linear out: expected a tensor apart from x, found x");
    }
  }

  void conv(Conv p, Batch batch, Tensor x, Tensor state, Tensor out) {
    batch("conv", batch);
    checkValues("conv x", x, FLOATS_OR_CODES, batch.tokens(), ANY);
    int channels = x.shape().dim(1);
    check("conv weight", p.weight(), DType.F32, channels, ANY);
    check("conv bias", p.bias(), DType.F32, channels);
    check("conv state", state, x.dtype(), ANY, p.weight().shape().dim(1) - 1, channels);
    checkValues("conv out", out, List.of(x.dtype()), batch.tokens(), channels);
  }

  void scan(
      Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out) {
    Scan.Dims dims = p.dims();
    batch("scan", batch);
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
    checkValues("scan x", x, FLOATS_OR_CODES, tokens, dims.innerDim());
    List<DType> like = List.of(x.dtype());
    List<DType> dts = x.dtype() == DType.I8 ? FLOATS_OR_CODES : FLOATS;
    checkValues("scan dt", dt, dts, tokens, dims.heads());
    checkValues("scan b", b, like, tokens, dims.groups() * dims.stateDim());
    checkValues("scan c", c, like, tokens, dims.groups() * dims.stateDim());
    checkState(state, new Made(x.dtype(), dims));
    check("scan out", out, DType.F32, tokens, dims.innerDim());
  }

  void gate(Gate p, Tensor y, Tensor z, Tensor out) {
    check("gate y", y, DType.F32, ANY, ANY);
    int n = y.shape().dim(0);
    int innerDim = y.shape().dim(1);
    checkValues("gate z", z, FLOATS_OR_CODES, n, innerDim);
    checkValues("gate out", out, FLOATS_OR_CODES, n, innerDim);
    if (p instanceof Gate.Normed normed) {
      check("gate norm weight", normed.norm().weight(), DType.F32, innerDim);
      if (normed.groups() < 1 || innerDim % normed.groups() != 0) {
        throw new IllegalArgumentException(
            "gate groups: expected a divisor of innerDim %d, found %d"
                .formatted(innerDim, normed.groups()));
      }
    }
  }

  void rotate(Tensor x, Tensor out) {
    check("rotate x", x, DType.F32, ANY, ANY);
    int innerDim = x.shape().dim(1);
    if (!rotated.contains(innerDim)) {
      Hadamard.of(innerDim);
      rotated.add(innerDim);
    }
    checkValues("rotate out", out, FLOATS_OR_CODES, x.shape().dim(0), innerDim);
  }

  void sample(Sample p, Batch batch, Tensor ids, Tensor logits, Tensor out) {
    batch("sample", batch);
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
  }

  /** Forgets all tensors. */
  void clear() {
    packed.clear();
    states.clear();
  }

  private void batch(String operation, Batch batch) {
    if (batch.rows() < 1 || batch.tokens() < batch.rows()) {
      throw new IllegalArgumentException(
          "%s batch: expected at least 1 row and a token a row, found %d rows and %d tokens"
              .formatted(operation, batch.rows(), batch.tokens()));
    }
    boolean singles = batch.single() == batch.rows() && batch.tokens() != batch.rows();
    if (batch.single() < 0 || batch.single() > batch.rows() || singles) {
      throw new IllegalArgumentException(
          "%s batch: expected at most %d rows of a single token, found %d"
              .formatted(operation, batch.rows() - (singles ? 1 : 0), batch.single()));
    }
    check(operation + " batch slots", batch.slots(), DType.I32, batch.rows());
    check(operation + " batch starts", batch.starts(), DType.I32, batch.rows() + 1);
    check(operation + " batch positions", batch.positions(), DType.I32, batch.rows());
  }

  private void checkState(Tensor state, Made use) {
    Made made = states.get(state);
    Scan.Dims dims = use.dims();
    if (made == null) {
      check("scan state", state, DType.F32, ANY, dims.heads(), dims.headDim(), dims.stateDim());
    } else if (!made.equals(use)) {
      throw new IllegalArgumentException(
          "scan state: expected one made for %s and %s, found for %s and %s"
              .formatted(use.input(), dims, made.input(), made.dims()));
    }
  }

  /** A tensor of this dtype, whether or not it has a scale. */
  private void check(String name, Tensor tensor, DType dtype, int... dims) {
    checkPlain(name, tensor, List.of(dtype), dims);
    if (tensor.dtype() != dtype || !fits(tensor.shape(), dims)) {
      throw unexpected(name, List.of(dtype), tensor, dims);
    }
  }

  /** A tensor of one of these dtypes; I8 with a scale. */
  private void checkValues(String name, Tensor tensor, List<DType> dtypes, int... dims) {
    checkPlain(name, tensor, dtypes, dims);
    if (!dtypes.contains(tensor.dtype()) || !fits(tensor.shape(), dims)) {
      throw unexpected(name, dtypes, tensor, dims);
    }
    if (tensor.dtype() == DType.I8) {
      try {
        tensor.scale();
      } catch (IllegalStateException e) {
        throw new IllegalArgumentException(
            "%s: expected codes with a scale, found %s: %s"
                .formatted(name, describe(tensor), e.getMessage()),
            e);
      }
    }
  }

  private void checkPlain(String name, Tensor tensor, List<DType> dtypes, int... dims) {
    String found =
        packed.containsKey(tensor)
            ? "a packed matrix"
            : states.containsKey(tensor) ? "a rounded state" : "";
    if (!found.isEmpty()) {
      throw new IllegalArgumentException(
          "%s: expected %s %s, found %s %s"
              .formatted(name, names(dtypes), pattern(dims), found, tensor.shape()));
    }
  }

  private static IllegalArgumentException unexpected(
      String name, List<DType> dtypes, Tensor tensor, int... dims) {
    return new IllegalArgumentException(
        "%s: expected %s %s, found %s"
            .formatted(name, names(dtypes), pattern(dims), describe(tensor)));
  }

  private static String names(List<DType> dtypes) {
    return dtypes.stream().map(DType::toString).collect(Collectors.joining(" or "));
  }

  private static void checkShape(String name, Tensor tensor, int... dims) {
    if (!fits(tensor.shape(), dims)) {
      throw new IllegalArgumentException(
          "%s: expected %s, found %s".formatted(name, pattern(dims), tensor.shape()));
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
