package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Backend;
import quamba.kernels.CheckedBackend;
import quamba.kernels.DType;
import quamba.kernels.Hadamard;
import quamba.kernels.HostTensor;
import quamba.kernels.Linear;
import quamba.kernels.Probe;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.kernels.cpu.CpuBackend;

/** Kernels for codes where they are the CUDA backend's own: sizes of models, and wide forms. */
@NeedsCuda
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CudaCodesTest {
  private final CudaShared shared = new CudaShared();
  private Probe probe;

  @BeforeEach
  void open() {
    probe = new Probe(new CheckedBackend(shared.backend()));
  }

  @AfterAll
  void close() {
    shared.close();
  }

  /** Bit by bit, rows beside tiles of both kernels, and x aligned or not. */
  @ParameterizedTest
  @CsvSource({
    "1, 2560, 1000",
    "8, 2560, 1000",
    "9, 2560, 1000",
    "200, 2560, 1000",
    "65, 5120, 200",
    "9, 2566, 200",
    "3, 2566, 200"
  })
  void linearOfCodesEqualsTheCpuBackend(int rows, int in, int out) {
    QuantizedWeight weight =
        QuantizedWeight.of(
            new HostTensor(
                DType.U8,
                Shape.of(out, in / 2),
                ByteBuffer.wrap(Probe.randomCodes(60, out * in / 2))),
            HostTensor.of(
                Shape.of(out, (in + 127) / 128),
                Probe.randomScales(61, out * ((in + 127) / 128), 0.01f)));
    byte[] x = Probe.randomCodes(62, rows * in);
    float[] scales = Probe.randomScales(63, out, 1.5f);
    try (Backend backend = CpuBackend.open(2)) {
      Probe cpu = new Probe(new CheckedBackend(backend));
      assertArrayEquals(
          cpu.floats(product(cpu, weight, x, cpu.zeros(rows, out))),
          probe.floats(product(probe, weight, x, probe.zeros(rows, out))));
      assertArrayEquals(
          cpu.bytes(product(cpu, weight, x, cpu.codes(scales, rows, out))),
          probe.bytes(product(probe, weight, x, probe.codes(scales, rows, out))));
    }
  }

  private static Tensor product(Probe probe, QuantizedWeight weight, byte[] x, Tensor out) {
    Linear linear = new Linear(probe.backend().pack(weight, DType.I8));
    int rows = out.shape().dim(0);
    Tensor xs = probe.codes(x, new float[] {0.01f}, rows, weight.in());
    probe.backend().linear(linear, xs, out);
    return out;
  }

  @ParameterizedTest
  @ValueSource(ints = {5120, 8192, 12288, 7168, 10240, 128, 512})
  void rotationsOfModelsTransformRows(int innerDim) {
    float[] x = Probe.random(64, 3 * innerDim);
    double[] expected = new double[x.length];
    Arrays.setAll(expected, i -> x[i]);
    for (int row = 0; row < 3; row++) {
      Hadamard.of(innerDim).apply(expected, row * innerDim);
    }
    Tensor out = probe.zeros(3, innerDim);
    probe.backend().rotate(probe.floats(x, 3, innerDim), out);
    // As in the contract.
    Probe.assertClose(
        expected, probe.floats(out), 6 * (26 + Math.log(innerDim) / Math.log(2)) * 0x1p-24);
  }

  @Test
  void rotationsWithoutAKernelAreRefused() {
    Tensor x = probe.zeros(1, 16384);
    var e = assertThrows(IllegalArgumentException.class, () -> probe.backend().rotate(x, x));
    assertEquals("innerDim: the cuda backend has kernels up to 12288, found 16384", e.getMessage());
  }

  /** Codes and their values take the same sums, in every form that does not replay its state. */
  @ParameterizedTest
  @CsvSource({"3, 5, 128", "3, 5, 200", "3, 18, 256", "2, 64, 127", "5, 1, 17", "140, 1, 64"})
  void scanOfCodesEqualsScanOfTheirValues(int heads, int headDim, int stateDim) {
    Scan.Dims dims = new Scan.Dims(heads, headDim, stateDim, 1);
    Scan scan = scan(dims, headDim == 1);
    int tokens = 40;
    float[][] scales = new float[4][];
    byte[][] codes = new byte[4][];
    int[] widths = {dims.innerDim(), heads, stateDim, stateDim}; // of x, dt, b, c
    for (int i = 0; i < 4; i++) {
      scales[i] = Probe.randomScales(65 + i, widths[i], 1f / 256);
      codes[i] = Probe.randomCodes(70 + i, tokens * widths[i]);
    }
    Tensor[] coded = new Tensor[4];
    Tensor[] valued = new Tensor[4];
    for (int i = 0; i < 4; i++) {
      coded[i] = probe.view(codes[i], scales[i], tokens, widths[i]);
      valued[i] = probe.floats(Probe.values(codes[i], scales[i]), tokens, widths[i]);
    }
    Tensor scale =
        probe.floats(
            Probe.randomScales(75, dims.innerDim() * stateDim, 0.01f), heads, headDim, stateDim);
    for (ScanState format :
        List.of(
            new ScanState.F32(),
            new ScanState.F16(),
            new ScanState.RowScaled(),
            new ScanState.StaticScaled(scale))) {
      float[] expected = run(scan, format, tokens, valued[0], valued[1], valued[2], valued[3]);
      float[] all = run(scan, format, tokens, coded[0], coded[1], coded[2], coded[3]);
      assertArrayEquals(expected, all, format.toString());
      float[] but = run(scan, format, tokens, coded[0], valued[1], coded[2], coded[3]);
      assertArrayEquals(expected, but, format + ", dt in f32");
    }
  }

  @Test
  void replayedStateNeedsScalesThatAreEqualWithinAGroup() {
    Scan.Dims dims = new Scan.Dims(4, 64, 128, 2);
    Tensor x = probe.codes(new float[] {1}, 1, 256);
    Tensor dt = probe.zeros(1, 4);
    float[] scales = new float[256];
    Arrays.fill(scales, 0, 128, 1);
    Arrays.fill(scales, 128, 256, 2);
    Tensor equal = probe.codes(scales, 1, 256);
    scales[200] = 3;
    Tensor unequal = probe.codes(scales, 1, 256);
    Scan scan = scan(dims, false);
    ScanState format = new ScanState.RowScaled();
    String message =
        "scan %s: expected scales that were uploaded equal for each 128 columns,"
            + " found those of columns 199 and 200 apart";
    var ofB =
        assertThrows(
            IllegalArgumentException.class, () -> run(scan, format, 1, x, dt, unequal, equal));
    assertEquals(message.formatted("b"), ofB.getMessage());
    var ofC =
        assertThrows(
            IllegalArgumentException.class, () -> run(scan, format, 1, x, dt, equal, unequal));
    assertEquals(message.formatted("c"), ofC.getMessage());
    assertArrayEquals(new float[256], run(scan, format, 1, x, dt, equal, equal));
    assertArrayEquals(new float[256], run(scan, new ScanState.F32(), 1, x, dt, unequal, unequal));
  }

  private Scan scan(Scan.Dims dims, boolean perState) {
    int heads = dims.heads();
    float[] a = Probe.random(76, perState ? heads * dims.stateDim() : heads);
    for (int i = 0; i < a.length; i++) {
      a[i] -= 1.25f;
    }
    return new Scan(
        perState ? probe.floats(a, heads, dims.stateDim()) : probe.floats(a, heads),
        probe.floats(Probe.random(77, heads), heads),
        probe.floats(Probe.random(78, heads), heads),
        dims,
        Scan.Limit.NONE);
  }

  private float[] run(
      Scan scan, ScanState format, int tokens, Tensor x, Tensor dt, Tensor b, Tensor c) {
    Tensor out = probe.zeros(tokens, scan.dims().innerDim());
    Tensor state = probe.backend().allocateState(format, x.dtype(), scan.dims(), 1);
    probe.backend().scan(scan, probe.row(0, tokens, 0), x, dt, b, c, state, out);
    return probe.floats(out);
  }
}
