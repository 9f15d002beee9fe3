package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import quamba.kernels.cpu.CpuBackend;

/** Each argument of a call that fits is made wrong in turn; the message says what was expected. */
final class CheckedBackendTest {
  private final Backend backend = new CheckedBackend(CpuBackend.open(1));
  private final Probe probe = new Probe(backend);
  private final Batch batch = probe.batch(new int[] {0, 1}, new int[] {1, 2}, new int[2]);

  @AfterEach
  void close() {
    backend.close();
  }

  @Test
  void pack() {
    HostTensor vector = HostTensor.of(Shape.of(3), 1, 2, 3);
    assertRefused(
        "pack weight: expected a floating-point matrix, found F32 (3)", () -> backend.pack(vector));
    HostTensor ints = new HostTensor(DType.I8, Shape.of(1, 3), ByteBuffer.allocate(3));
    assertRefused(
        "pack weight: expected a floating-point matrix, found I8 (1, 3)", () -> backend.pack(ints));
  }

  @Test
  void writeAndRead() {
    Tensor tensor = probe.zeros(2, 3);
    assertRefused(
        "write source: expected 24 bytes for F32 (2, 3), found 20",
        () -> backend.write(tensor, ByteBuffer.allocate(20)));
    assertRefused(
        "read target: expected 24 bytes for F32 (2, 3), found 28",
        () -> backend.read(tensor, ByteBuffer.allocate(28)));
  }

  @Test
  void begin() {
    Tensor ids = probe.ints(0, -1);
    backend.begin(ids, probe.ints(1), probe.zeros(2, 3));
    assertRefused(
        "begin ids: expected I32 (*), found F32 (2)",
        () -> backend.begin(probe.zeros(2), ids, probe.zeros(2, 3)));
    assertRefused(
        "begin chosen: expected I32 (*), found F32 (2)",
        () -> backend.begin(ids, probe.zeros(2), probe.zeros(2, 3)));
    assertRefused(
        "begin residual: expected F32 (2, *), found F32 (3, 3)",
        () -> backend.begin(ids, ids, probe.zeros(3, 3)));
  }

  @Test
  void readback() {
    Readback readback = backend.readback(probe.ints(7, 8, 9));
    readback.begin();
    readback.await(ByteBuffer.allocate(12));
    assertRefused(
        "readback target: expected at most 12 bytes for I32 (3), found 13",
        () -> readback.await(ByteBuffer.allocate(13)));
  }

  @Test
  void embed() {
    Tensor ids = probe.ints(0, 1, 2);
    Tensor table = probe.packed(new float[8], 4, 2);
    backend.embed(ids, table, probe.zeros(3, 2));
    assertRefused(
        "embed ids: expected I32 (*), found F32 (3)",
        () -> backend.embed(probe.zeros(3), table, probe.zeros(3, 2)));
    assertRefused(
        "embed table: expected F32 (*, *), found I32 (3)",
        () -> backend.embed(ids, ids, probe.zeros(3, 2)));
    assertRefused(
        "embed out: expected F32 (3, 2), found F32 (3, 4)",
        () -> backend.embed(ids, table, probe.zeros(3, 4)));
  }

  @Test
  void norm() {
    Norm norm = new Norm(probe.zeros(4), 1e-5f);
    Tensor x = probe.zeros(3, 4);
    backend.norm(norm, x, x, x);
    assertRefused(
        "norm weight: expected F32 (5), found F32 (4)",
        () -> backend.norm(norm, probe.zeros(3, 5), x, x));
    assertRefused(
        "norm residual: expected F32 (3, 4), found F32 (2, 4)",
        () -> backend.norm(norm, x, probe.zeros(2, 4), x));
    assertRefused(
        "norm out: expected F32 or I8 (3, 4), found I32 (3)",
        () -> backend.norm(norm, x, x, probe.ints(1, 2, 3)));
  }

  @Test
  void linear() {
    Linear linear = new Linear(probe.packed(new float[10], 5, 2));
    backend.linear(linear, probe.zeros(3, 2), probe.zeros(3, 5));
    assertRefused(
        "linear x: expected F32 (*, 2), found F32 (3, 4)",
        () -> backend.linear(linear, probe.zeros(3, 4), probe.zeros(3, 5)));
    assertRefused(
        "linear out: expected F32 (3, 5), found F32 (3, 6)",
        () -> backend.linear(linear, probe.zeros(3, 2), probe.zeros(3, 6)));
    Linear plain = new Linear(probe.zeros(5, 2));
    assertRefused(
        "linear weight: expected a packed matrix, found F32 (5, 2)",
        () -> backend.linear(plain, probe.zeros(3, 2), probe.zeros(3, 5)));
    Linear square = new Linear(probe.packed(new float[4], 2, 2));
    Tensor x = probe.zeros(3, 2);
    assertRefused(
        "linear out: expected a tensor apart from x, found x", () -> backend.linear(square, x, x));
    assertRefused(
        "norm x: expected F32 (*, *), found a packed matrix (2, 2)",
        () -> backend.norm(new Norm(probe.zeros(2), 0), square.weight(), x, x));
  }

  @Test
  void conv() {
    Conv conv = new Conv(probe.zeros(6, 4), probe.zeros(6));
    Tensor x = probe.zeros(3, 6);
    Tensor state = probe.zeros(2, 3, 6);
    backend.conv(conv, batch, x, state, x);
    assertRefused(
        "conv x: expected F32 or I8 (3, *), found F32 (4, 6)",
        () -> backend.conv(conv, batch, probe.zeros(4, 6), state, x));
    assertRefused(
        "conv weight: expected F32 (6, *), found F32 (7, 4)",
        () -> backend.conv(new Conv(probe.zeros(7, 4), conv.bias()), batch, x, state, x));
    assertRefused(
        "conv bias: expected F32 (6), found F32 (1)",
        () -> backend.conv(new Conv(conv.weight(), probe.zeros(1)), batch, x, state, x));
    assertRefused(
        "conv state: expected F32 (*, 3, 6), found F32 (2, 4, 6)",
        () -> backend.conv(conv, batch, x, probe.zeros(2, 4, 6), x));
    assertRefused(
        "conv out: expected F32 (3, 6), found F32 (3, 5)",
        () -> backend.conv(conv, batch, x, state, probe.zeros(3, 5)));
  }

  @Test
  void batchOfAnyOperation() {
    Conv conv = new Conv(probe.zeros(6, 4), probe.zeros(6));
    Tensor x = probe.zeros(3, 6);
    Tensor state = probe.zeros(2, 3, 6);
    Tensor two = probe.ints(0, 1);
    Tensor three = probe.ints(0, 1, 3);
    assertRefused(
        "conv batch: expected at least 1 row and a token a row, found 0 rows and 0 tokens",
        () -> backend.conv(conv, new Batch(0, 0, 0, two, three, two), x, state, x));
    assertRefused(
        "conv batch: expected at most 1 rows of a single token, found 2",
        () -> backend.conv(conv, new Batch(2, 3, 2, two, three, two), x, state, x));
    assertRefused(
        "conv batch slots: expected I32 (2), found I32 (3)",
        () -> backend.conv(conv, new Batch(2, 3, 1, three, three, two), x, state, x));
    assertRefused(
        "conv batch starts: expected I32 (3), found I32 (2)",
        () -> backend.conv(conv, new Batch(2, 3, 1, two, two, two), x, state, x));
    assertRefused(
        "conv batch positions: expected I32 (2), found F32 (2)",
        () -> backend.conv(conv, new Batch(2, 3, 1, two, three, probe.zeros(2)), x, state, x));
  }

  @Test
  void scan() {
    Scan.Dims dims = new Scan.Dims(4, 3, 5, 2);
    Tensor heads = probe.zeros(4);
    Scan scan = new Scan(heads, heads, heads, dims, Scan.Limit.NONE);
    Tensor x = probe.zeros(3, 12);
    Tensor dt = probe.zeros(3, 4);
    Tensor bc = probe.zeros(3, 10);
    Tensor state = probe.zeros(2, 4, 3, 5);
    Tensor bad = probe.zeros(1, 1);
    backend.scan(scan, batch, x, dt, bc, bc, state, x);
    Scan wrong = new Scan(probe.zeros(4, 5), heads, heads, dims, Scan.Limit.NONE);
    assertRefused(
        "scan dims: expected headDim 1 and groups 1 as a is per state, found " + dims,
        () -> backend.scan(wrong, batch, x, dt, bc, bc, state, x));
    assertRefused(
        "scan a: expected F32 (4, 5), found F32 (1, 1)",
        () ->
            backend.scan(
                new Scan(bad, heads, heads, dims, Scan.Limit.NONE),
                batch,
                x,
                dt,
                bc,
                bc,
                state,
                x));
    assertRefused(
        "scan dtBias: expected F32 (4), found F32 (1, 1)",
        () ->
            backend.scan(
                new Scan(heads, bad, heads, dims, Scan.Limit.NONE),
                batch,
                x,
                dt,
                bc,
                bc,
                state,
                x));
    assertRefused(
        "scan skip: expected F32 (4), found F32 (1, 1)",
        () ->
            backend.scan(
                new Scan(heads, heads, bad, dims, Scan.Limit.NONE),
                batch,
                x,
                dt,
                bc,
                bc,
                state,
                x));
    assertRefused(
        "scan x: expected F32 or I8 (3, 12), found F32 (1, 1)",
        () -> backend.scan(scan, batch, bad, dt, bc, bc, state, x));
    assertRefused(
        "scan dt: expected F32 (3, 4), found F32 (1, 1)",
        () -> backend.scan(scan, batch, x, bad, bc, bc, state, x));
    assertRefused(
        "scan b: expected F32 (3, 10), found F32 (1, 1)",
        () -> backend.scan(scan, batch, x, dt, bad, bc, state, x));
    assertRefused(
        "scan c: expected F32 (3, 10), found F32 (1, 1)",
        () -> backend.scan(scan, batch, x, dt, bc, bad, state, x));
    assertRefused(
        "scan state: expected F32 (*, 4, 3, 5), found F32 (1, 1)",
        () -> backend.scan(scan, batch, x, dt, bc, bc, bad, x));
    assertRefused(
        "scan out: expected F32 (3, 12), found F32 (1, 1)",
        () -> backend.scan(scan, batch, x, dt, bc, bc, state, bad));
  }

  @Test
  void gate() {
    Tensor y = probe.zeros(3, 6);
    Norm norm = new Norm(probe.zeros(6), 1e-5f);
    backend.gate(new Gate.Normed(norm, 2), y, y, y);
    assertRefused(
        "gate z: expected F32 or I8 (3, 6), found F32 (3, 5)",
        () -> backend.gate(new Gate.Plain(), y, probe.zeros(3, 5), y));
    assertRefused(
        "gate out: expected F32 or I8 (3, 6), found F32 (2, 6)",
        () -> backend.gate(new Gate.Plain(), y, y, probe.zeros(2, 6)));
    assertRefused(
        "gate norm weight: expected F32 (6), found F32 (5)",
        () -> backend.gate(new Gate.Normed(new Norm(probe.zeros(5), 0), 1), y, y, y));
    assertRefused(
        "gate groups: expected a divisor of innerDim 6, found 4",
        () -> backend.gate(new Gate.Normed(norm, 4), y, y, y));
  }

  @Test
  void sample() {
    Tensor options = probe.zeros(2, Sample.OPTIONS);
    Tensor keys = probe.ints(new int[8], Shape.of(2, 4));
    Tensor seen = backend.allocate(DType.I8, Shape.of(2, 7));
    Sample sample = new Sample(options, keys, seen);
    Tensor ids = probe.ints(0, 1, 2);
    Tensor logits = probe.zeros(2, 8);
    Tensor out = probe.ints(0, 0);
    backend.sample(sample, batch, ids, logits, out);
    assertRefused(
        "sample options: expected F32 (*, 5), found F32 (2, 4)",
        () -> backend.sample(new Sample(probe.zeros(2, 4), keys, seen), batch, ids, logits, out));
    assertRefused(
        "sample keys: expected I32 (2, 4), found I32 (2)",
        () -> backend.sample(new Sample(options, out, seen), batch, ids, logits, out));
    assertRefused(
        "sample seen: expected I8 (2, *), found F32 (2, 8)",
        () -> backend.sample(new Sample(options, keys, logits), batch, ids, logits, out));
    assertRefused(
        "sample ids: expected I32 (3), found I32 (2)",
        () -> backend.sample(sample, batch, out, logits, out));
    assertRefused(
        "sample logits: expected at most 2 rows of at least 7 columns, found F32 (3, 8)",
        () -> backend.sample(sample, batch, ids, probe.zeros(3, 8), out));
    assertRefused(
        "sample logits: expected at most 2 rows of at least 7 columns, found F32 (2, 6)",
        () -> backend.sample(sample, batch, ids, probe.zeros(2, 6), out));
    assertRefused(
        "sample out: expected I32 (2), found I32 (3)",
        () -> backend.sample(sample, batch, ids, logits, ids));
  }

  private static void assertRefused(String message, Executable call) {
    assertEquals(message, assertThrows(IllegalArgumentException.class, call).getMessage());
  }
}
