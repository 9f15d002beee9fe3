package quamba.kernels;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.IntToDoubleFunction;

/**
 * Asks a backend for results that are known beforehand, of every operation and in the sizes that
 * choose among its kernels, so that a build or a device that computes nothing, or something else,
 * is found when it is opened and not by its texts. It takes a few MiB that the backend keeps.
 */
public final class KnownAnswers {
  private static final int MODEL_DIM = 256;
  private static final int MANY_INPUTS = 640; // which more blocks share
  private static final int MOST_INPUTS = 4096; // for which few rows have a kernel of their own
  private static final int OUTPUTS = 200;
  private static final int MANY_OUTPUTS = 8500; // the same
  private static final int GROUP = 128; // inputs that share a scale of 4-bit weights
  private static final int HEADS = 24;
  private static final int HEAD_DIM = 64;
  private static final int STATE_DIM = 128;
  private static final int INNER_DIM = HEADS * HEAD_DIM; // one that has a rotation
  private static final int TAPS = 4;
  private static final int ROWS = 130; // of the largest batch

  /** Tokens of a row: one, and more than a state is kept unrounded for. */
  private static final int TOKENS = ScanState.INTERVAL + 3;

  private static final float EPSILON = 1e-6f;

  /** Of results, as a share of them, or of 1 if they are smaller. */
  private static final double EXACT = 1e-6;

  private static final double NEAR = 1e-3;
  private static final double ROUNDED = 0.02; // states in 8 bits

  private static final float CODE = 1 / 16f; // what a code of 1 stands for, but in linear

  private final Backend backend;

  private KnownAnswers(Backend backend) {
    this.backend = backend;
  }

  /**
   * Runs every operation.
   *
   * @throws BackendUnavailableException naming the first operation with another result than is
   *     known, where, what was expected and what was found
   */
  public static void check(Backend backend) {
    KnownAnswers answers = new KnownAnswers(backend);
    answers.begin();
    answers.embed();
    answers.norm();
    answers.linear(OUTPUTS, MODEL_DIM, 1, 12, 24, 64, ROWS);
    answers.linear(OUTPUTS, MANY_INPUTS, 24, 64);
    answers.linear(OUTPUTS, MOST_INPUTS, 1);
    answers.linear(MANY_OUTPUTS, GROUP, 1);
    answers.conv();
    for (DType input : new DType[] {DType.F32, DType.I8}) {
      answers.scan(new ScanState.F32(), input);
      answers.scan(new ScanState.F16(), input);
      answers.scan(new ScanState.RowScaled(), input);
    }
    answers.gate();
    answers.sample();
  }

  /** Ids −1 and −3 are the first and the third that were chosen. */
  private void begin() {
    Tensor ids = ints(-3, 1, -1);
    Tensor residual = floats(ramp(15), 3, 5);
    backend.begin(ids, ints(2, 9, 0), residual);
    expect("begin", ids, EXACT, i -> i);
    expect("begin", residual, EXACT, i -> 0);
  }

  private void embed() {
    Tensor table = backend.pack(HostTensor.of(Shape.of(3, 5), ramp(15)));
    Tensor out = zeros(2, 5);
    backend.embed(ints(2, 0), table, out);
    expect("embed", out, EXACT, i -> i < 5 ? 10 + i : i - 5);
  }

  /** Of numbers of one size the mean square is known. */
  private void norm() {
    float[] x = new float[2 * MODEL_DIM];
    for (int i = 0; i < x.length; i++) {
      x[i] = i % 2 == 0 ? 3 : -3;
    }
    Tensor weight = floats(ramp(MODEL_DIM), MODEL_DIM);
    Tensor residual = zeros(2, MODEL_DIM);
    Tensor out = zeros(2, MODEL_DIM);
    backend.norm(new Norm(weight, EPSILON), floats(x, 2, MODEL_DIM), residual, out);
    expect("norm", out, NEAR, i -> i % MODEL_DIM * Math.signum(x[i]));
    expect("norm, residual", residual, EXACT, i -> x[i]);
  }

  /** A matrix, and element i of its products with the rows of {@link #rowsOfCodes}. */
  private record Known(Linear linear, IntToDoubleFunction product) {}

  /** Floats, and 8-bit and 4-bit weights by codes; small integers, whose sums are exact. */
  private void linear(int outputs, int inputs, int... numbersOfRows) {
    byte[] weights = new byte[outputs * inputs];
    float[] values = new float[weights.length];
    byte[] nibbles = new byte[weights.length / 2];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = (byte) (i * 5 % 13 - i / inputs % 7);
      values[i] = weights[i];
      nibbles[i / 2] = (byte) (i / 2 * 29 % 251);
    }
    HostTensor ones = HostTensor.of(Shape.of(outputs), filled(outputs, 1));
    HostTensor groups =
        HostTensor.of(Shape.of(outputs, inputs / GROUP), filled(inputs / GROUP * outputs, 1));
    byte[] x = rowsOfCodes(Arrays.stream(numbersOfRows).max().orElseThrow(), inputs);
    Known byEight =
        known(x, outputs, inputs, QuantizedWeight.of(bytes(DType.I8, weights, inputs), ones));
    Known byFour =
        known(x, outputs, inputs, QuantizedWeight.of(bytes(DType.U8, nibbles, inputs / 2), groups));
    Linear byFloats = new Linear(backend.pack(HostTensor.of(Shape.of(outputs, inputs), values)));
    for (int rows : numbersOfRows) {
      String size = ", %d rows of %d".formatted(rows, inputs);
      byte[] some = Arrays.copyOf(x, rows * inputs);
      float[] numbers = new float[some.length];
      for (int i = 0; i < some.length; i++) {
        numbers[i] = some[i];
      }
      Tensor plain = zeros(rows, outputs);
      backend.linear(byFloats, floats(numbers, rows, inputs), plain);
      expect("linear of floats" + size, plain, EXACT, byEight.product);

      Tensor first = zeros(rows, outputs);
      Tensor second = zeros(rows, outputs);
      List<Product> products =
          List.of(new Product(byEight.linear, first), new Product(byFour.linear, second));
      backend.linears(codes(some, rows, inputs), products);
      expect("linear of 8 bits" + size, first, EXACT, byEight.product);
      expect("linear of 4 bits" + size, second, EXACT, byFour.product);
    }
  }

  private static byte[] rowsOfCodes(int rows, int inputs) {
    byte[] codes = new byte[rows * inputs];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) (i * 7 % 11 - i / inputs % 5);
    }
    return codes;
  }

  private Known known(byte[] x, int outputs, int inputs, QuantizedWeight weight) {
    QuantizedWeight.Int8 wide = weight.asInt8();
    byte[] codes = new byte[outputs * inputs];
    wide.codes().data().get(0, codes);
    float[] scales = new float[outputs];
    HostFloats.read(wide.scales(), 0, outputs, scales, 0);
    double[] products = new double[x.length / inputs * outputs];
    for (int at = 0; at < products.length; at++) {
      int row = at / outputs * inputs;
      int output = at % outputs * inputs;
      int sum = 0;
      for (int i = 0; i < inputs; i++) {
        sum += x[row + i] * codes[output + i];
      }
      products[at] = (double) sum * scales[at % outputs];
    }
    return new Known(new Linear(backend.pack(weight, DType.I8)), i -> products[i]);
  }

  /** A single tap looks back: at the first tokens at zeros, then at what the state has kept. */
  private void conv() {
    float[] taps = new float[INNER_DIM * TAPS];
    for (int i = 0; i < taps.length; i += TAPS) {
      taps[i] = 1;
    }
    Conv conv = new Conv(floats(taps, INNER_DIM, TAPS), zeros(INNER_DIM));
    for (DType input : new DType[] {DType.F32, DType.I8}) {
      Tensor state = backend.allocate(input, Shape.of(2, TAPS - 1, INNER_DIM));
      for (int token = 0; token < TAPS + 1; token++) {
        int now = token;
        float[] x = filled(2 * INNER_DIM, 1 + token);
        Tensor in = of(input, x, 2, INNER_DIM);
        Tensor out = of(input, new float[x.length], 2, INNER_DIM);
        backend.conv(conv, batch(2, 1, token), in, state, out);
        double before = Math.max(0, now - (TAPS - 2));
        double tolerance = input == DType.I8 ? CODE : NEAR;
        expect("conv of " + input + ", token " + now, out, CODE, tolerance, i -> silu(before));
      }
    }
  }

  /** With inputs of 1 and a decay of 1/e a token, an output is a geometric sum. */
  private void scan(ScanState format, DType input) {
    Scan.Dims dims = new Scan.Dims(HEADS, HEAD_DIM, STATE_DIM, 1);
    Scan scan =
        new Scan(
            floats(filled(HEADS, -1), HEADS),
            zeros(HEADS),
            floats(filled(HEADS, 2), HEADS),
            dims,
            Scan.Limit.NONE);
    String what = "scan of %s, state %s".formatted(input, format.getClass().getSimpleName());
    Tensor state = backend.allocateState(format, input, dims, 2);
    scanOnce(what, scan, input, state, 0, TOKENS);
    for (int token = TOKENS; token < TOKENS + 2; token++) {
      scanOnce(what, scan, input, state, token, 1);
    }
  }

  private void scanOnce(String what, Scan scan, DType input, Tensor state, int from, int count) {
    int tokens = 2 * count;
    Tensor x = of(input, filled(tokens * INNER_DIM, 1), tokens, INNER_DIM);
    Tensor b = of(input, filled(tokens * STATE_DIM, 1), tokens, STATE_DIM);
    Tensor c = of(input, filled(tokens * STATE_DIM, 1), tokens, STATE_DIM);
    float step = (float) Math.log(Math.E - 1); // softplus makes 1 of it
    Tensor dt = floats(filled(tokens * HEADS, step), tokens, HEADS);
    Tensor out = zeros(tokens, INNER_DIM);
    backend.scan(scan, batch(2, count, from), x, dt, b, c, state, out);
    expect(
        what + ", from token " + from,
        out,
        ROUNDED,
        i -> 2 + STATE_DIM * geometric(from + i / INNER_DIM % count + 1));
  }

  /** 1 + 1/e + … of so many terms. */
  private static double geometric(int terms) {
    return (1 - Math.exp(-terms)) / (1 - Math.exp(-1));
  }

  /** A gate of ones is all alike, which the norm makes 1 and the rotation puts in one column. */
  private void gate() {
    Tensor weight = floats(filled(INNER_DIM, 1), INNER_DIM);
    Gate normed = new Gate.Normed(new Norm(weight, EPSILON), 1);
    for (DType input : new DType[] {DType.F32, DType.I8}) {
      Tensor z = of(input, filled(INNER_DIM, 1), 1, INNER_DIM);
      Tensor y = floats(filled(INNER_DIM, 1), 1, INNER_DIM);
      Tensor out = zeros(1, INNER_DIM);
      backend.gate(new Gate.Plain(), y, z, out);
      expect("gate of " + input, out, NEAR, i -> silu(1));
      backend.gate(normed, y, z, out);
      expect("gate of " + input + ", normed", out, NEAR, i -> 1);
      double[] rotated = new double[INNER_DIM];
      Arrays.fill(rotated, 1);
      Hadamard.of(INNER_DIM).apply(rotated, 0);
      Tensor turned = zeros(1, INNER_DIM);
      backend.rotate(out, turned);
      expect("rotate", turned, NEAR, i -> rotated[i]);
      backend.gateRotate(normed, y, z, out);
      expect("gateRotate of " + input, out, NEAR, i -> rotated[i]);
    }
  }

  private void sample() {
    int vocab = 1000;
    int best = 617;
    float[] logits = ramp(vocab);
    logits[best] = 2 * vocab;
    float[] options = {0, 0, 1, 0, 1}; // greedy
    Tensor seen = backend.allocate(DType.I8, Shape.of(1, vocab));
    Sample sample =
        new Sample(
            floats(options, 1, Sample.OPTIONS), backend.allocate(DType.I32, Shape.of(1, 4)), seen);
    Tensor chosen = backend.allocate(DType.I32, Shape.of(1));
    backend.sample(sample, batch(1, 1, 0), ints(3), floats(logits, 1, vocab), chosen);
    expect("sample", chosen, EXACT, i -> best);
    expect("sample, seen", seen, EXACT, i -> i == 3 ? 1 : 0);
  }

  private static double silu(double x) {
    return x / (1 + Math.exp(-x));
  }

  // ------------------------------------------------------------------ numbers there and back

  private static float[] filled(int count, float value) {
    float[] values = new float[count];
    Arrays.fill(values, value);
    return values;
  }

  private static float[] ramp(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = i;
    }
    return values;
  }

  private Tensor floats(float[] values, int... dims) {
    return backend.upload(HostTensor.of(Shape.of(dims), values));
  }

  private Tensor zeros(int... dims) {
    return backend.allocate(DType.F32, Shape.of(dims));
  }

  private Tensor ints(int... values) {
    ByteBuffer data = buffer(values.length * Integer.BYTES);
    data.asIntBuffer().put(values);
    return backend.upload(new HostTensor(DType.I32, Shape.of(values.length), data));
  }

  private static HostTensor bytes(DType dtype, byte[] values, int columns) {
    ByteBuffer data = buffer(values.length).put(values).flip();
    return new HostTensor(dtype, Shape.of(values.length / columns, columns), data);
  }

  /** Codes of scale 1. */
  private Tensor codes(byte[] values, int rows, int columns) {
    HostTensor host = bytes(DType.I8, values, columns);
    return backend
        .upload(new HostTensor(DType.I8, Shape.of(rows, columns), host.data()))
        .scaled(floats(new float[] {1}, 1));
  }

  /** Numbers as they are, or as codes of {@link #CODE}. */
  private Tensor of(DType dtype, float[] values, int rows, int columns) {
    if (dtype == DType.F32) {
      return floats(values, rows, columns);
    }
    byte[] codes = new byte[values.length];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) (values[i] / CODE);
    }
    HostTensor host = bytes(DType.I8, codes, columns);
    return backend.upload(host).scaled(floats(new float[] {CODE}, 1));
  }

  private Batch batch(int rows, int tokens, int position) {
    int[] slots = new int[rows];
    int[] starts = new int[rows + 1];
    int[] positions = new int[rows];
    for (int row = 0; row < rows; row++) {
      slots[row] = row;
      starts[row + 1] = starts[row] + tokens;
      positions[row] = position;
    }
    int single = tokens == 1 ? rows : 0;
    return new Batch(rows, rows * tokens, single, ints(slots), ints(starts), ints(positions));
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private void expect(
      String operation, Tensor result, double tolerance, IntToDoubleFunction expected) {
    expect(operation, result, 1, tolerance, expected);
  }

  private void expect(
      String operation,
      Tensor result,
      double unit,
      double tolerance,
      IntToDoubleFunction expected) {
    int count = Math.toIntExact(result.shape().elements());
    ByteBuffer data = buffer(count * result.dtype().bytes());
    backend.read(result, data);
    for (int i = 0; i < count; i++) {
      double found =
          switch (result.dtype()) {
            case F32 -> data.getFloat(i * Float.BYTES);
            case I32 -> data.getInt(i * Integer.BYTES);
            default -> data.get(i) * unit;
          };
      double known = expected.applyAsDouble(i);
      if (!(Math.abs(found - known) <= tolerance * Math.max(1, Math.abs(known)))) { // NaN fails
        throw new BackendUnavailableException(
            String.format(
                Locale.ROOT,
                "known answers: %s: expected %.4f at %d of %s, found %.4f",
                operation,
                known,
                i,
                result.shape(),
                found));
      }
    }
  }
}
