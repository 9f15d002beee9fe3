package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.BackendUnavailableException;
import quamba.kernels.CheckedBackend;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.DeviceFaultException;
import quamba.kernels.DeviceMemoryException;
import quamba.kernels.HostTensor;
import quamba.kernels.KnownAnswers;
import quamba.kernels.Oracle;
import quamba.kernels.Probe;
import quamba.kernels.Scan;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/** What is the CUDA backend's own beyond the contract: memory, copies, limits, faults. */
@NeedsCuda
final class CudaDeviceTest {
  private Probe probe;

  @BeforeEach
  void open() {
    probe = new Probe(new CheckedBackend(CudaBackend.open(0)));
  }

  @AfterEach
  void close() {
    probe.backend().close();
  }

  @Test
  void aDeviceThatIsNotThereIsUnavailable() {
    var e = assertThrows(BackendUnavailableException.class, () -> CudaBackend.open(99));
    assertTrue(e.getMessage().startsWith("no CUDA device 99: this machine shows "), e.getMessage());
  }

  @Test
  void tooLittleMemorySaysHowMuchAndLeavesTheRestAlone() {
    Tensor before = probe.floats(new float[] {1, 2, 3}, 3);
    Shape shape = Shape.of(1 << 20, 1 << 20);
    var e =
        assertThrows(DeviceMemoryException.class, () -> probe.backend().allocate(DType.F32, shape));
    assertEquals(1L << 42, e.wantedBytes());
    assertTrue(e.freeBytes() > 0 && e.freeBytes() < 1L << 42, e.getMessage());
    assertArrayEquals(new float[] {1, 2, 3}, probe.floats(before));
  }

  @Test
  void copiesMayBeLargerThanTheStaging() {
    int count = 9 << 20; // 36 MiB
    float[] values = Probe.random(50, count);
    assertArrayEquals(values, probe.floats(probe.floats(values, count)));
  }

  @Test
  void halvesAreWidenedPieceByPiece() {
    int count = 9 << 20;
    ByteBuffer halves = ByteBuffer.allocateDirect(count * 2).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < count; i++) {
      halves.putShort(i * 2, (short) i);
    }
    Tensor tensor = probe.backend().upload(new HostTensor(DType.F16, Shape.of(count), halves));
    float[] values = probe.floats(tensor);
    for (int i = 0; i < count; i++) {
      float expected = (float) Oracle.half(i & 0xffff);
      if (Float.compare(expected, values[i]) != 0) {
        assertEquals(expected, values[i], "half " + i);
      }
    }
  }

  @Test
  void manySmallWritesKeepTheirOrderAndTheirNumbers() {
    int rows = 1000;
    int columns = 20_000; // 80 MB pass through 16 MiB
    Tensor target = probe.zeros(rows, columns);
    ByteBuffer data = ByteBuffer.allocateDirect(columns * 4).order(ByteOrder.LITTLE_ENDIAN);
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < columns; i++) {
        data.putFloat(i * 4, row * 3 + i);
      }
      probe.backend().write(target.rows(row, 1), data);
    }
    float[] values = probe.floats(target);
    for (int i = 0; i < values.length; i++) {
      if (values[i] != i / columns * 3 + i % columns) {
        assertEquals(i / columns * 3 + i % columns, values[i], "element " + i);
      }
    }
  }

  @Test
  void aPanelMayBeLargerThanTheStaging() {
    int in = 70_001;
    float[] table = Probe.random(51, 66 * in);
    Tensor out = probe.zeros(2, in);
    probe.backend().embed(probe.ints(65, 3), probe.packed(table, 66, in), out);
    float[] rows = probe.floats(out);
    for (int i = 0; i < in; i++) {
      assertEquals(table[65 * in + i], rows[i]);
      assertEquals(table[3 * in + i], rows[in + i]);
    }
  }

  @ParameterizedTest
  @CsvSource({"3, 5, 129", "3, 5, 200", "3, 5, 256", "5, 1, 17", "5, 1, 63", "5, 1, 64"})
  void wideStatesEqualTheOracle(int heads, int headDim, int stateDim) {
    Scan.Dims dims = new Scan.Dims(heads, headDim, stateDim, 1);
    int tokens = 6;
    float[] a = Probe.random(52, headDim == 1 ? heads * stateDim : heads);
    for (int i = 0; i < a.length; i++) {
      a[i] -= 1.25f;
    }
    var weights = new Oracle.ScanWeights(a, Probe.random(53, heads), Probe.random(54, heads));
    var inputs =
        new Oracle.ScanInputs(
            Probe.random(55, tokens * dims.innerDim()),
            Probe.random(56, tokens * heads),
            Probe.random(57, tokens * stateDim),
            Probe.random(58, tokens * stateDim));
    Tensor out = probe.zeros(tokens, dims.innerDim());
    probe
        .backend()
        .scan(
            scan(weights, dims),
            probe.row(0, tokens, 0),
            probe.floats(inputs.x(), tokens, dims.innerDim()),
            probe.floats(inputs.dt(), tokens, heads),
            probe.floats(inputs.b(), tokens, stateDim),
            probe.floats(inputs.c(), tokens, stateDim),
            probe.zeros(1, heads, headDim, stateDim),
            out);
    // As in the contract: terms below 6 with the errors of 6 tokens, summed over stateDim.
    double tolerance = 6 * (32 + Math.sqrt(stateDim)) * 0x1p-24 * (stateDim + 1);
    double[] expected = Oracle.scan(weights, dims, Scan.Limit.NONE, inputs);
    Probe.assertClose(expected, probe.floats(out), tolerance);
  }

  private Scan scan(Oracle.ScanWeights weights, Scan.Dims dims) {
    int heads = dims.heads();
    Tensor a =
        weights.a().length == heads
            ? probe.floats(weights.a(), heads)
            : probe.floats(weights.a(), heads, dims.stateDim());
    return new Scan(
        a,
        probe.floats(weights.dtBias(), heads),
        probe.floats(weights.skip(), heads),
        dims,
        Scan.Limit.NONE);
  }

  @Test
  void theDeviceKnowsTheAnswers() {
    KnownAnswers.check(probe.backend());
  }

  @Test
  void sizesWithoutAKernelAreRefused() {
    Conv conv = new Conv(probe.zeros(2, 9), probe.zeros(2));
    Tensor x = probe.zeros(1, 2);
    Tensor state = probe.zeros(1, 8, 2);
    var e =
        assertThrows(
            IllegalArgumentException.class,
            () -> probe.backend().conv(conv, probe.row(0, 1, 0), x, state, x));
    assertEquals("convWidth: the cuda backend has kernels up to 8, found 9", e.getMessage());
  }

  @Test
  void aClosedBackendRefusesCallsAndClosesAgain() {
    Tensor tensor = probe.floats(new float[] {1}, 1);
    probe.backend().close();
    assertThrows(IllegalStateException.class, () -> probe.floats(tensor));
    probe.backend().close();
  }

  @Test
  void anotherThreadMayGoOnAndClose() {
    Tensor tensor = probe.floats(new float[] {4, 5}, 2);
    float[] values =
        CompletableFuture.supplyAsync(
                () -> {
                  float[] read = probe.floats(tensor);
                  probe.backend().close();
                  return read;
                })
            .join();
    assertArrayEquals(new float[] {4, 5}, values);
  }

  /** In a process of its own, since a fault leaves the driver in no state to go on. */
  @Test
  void anAddressOutsideOfMemoryIsADeviceFault() throws Exception {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    Process process =
        new ProcessBuilder(
                java,
                "--add-modules=jdk.incubator.vector",
                "-cp",
                System.getProperty("java.class.path"),
                Faulty.class.getName())
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    assertTrue(
        output.contains("fault: waiting for the device: CUDA_ERROR_ILLEGAL_ADDRESS"), output);
    assertTrue(output.contains("closed"), output);
  }

  /** Embeds an id far outside of the table. */
  static final class Faulty {
    private Faulty() {}

    public static void main(String[] args) {
      Probe probe = new Probe(new CheckedBackend(CudaBackend.open(0)));
      try {
        Tensor out = probe.zeros(1, 1 << 10);
        Tensor table = probe.zeros(1, 1 << 10);
        probe.backend().embed(probe.ints(Integer.MAX_VALUE), table, out);
        probe.floats(out);
      } catch (DeviceFaultException e) {
        System.out.println("fault: " + e.getMessage());
      } finally {
        probe.backend().close();
        System.out.println("closed");
      }
    }
  }
}
