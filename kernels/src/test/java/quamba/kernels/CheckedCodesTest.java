package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import quamba.kernels.cpu.CpuBackend;

/** Refusals of codes name the operation, the argument, what was expected and what was found. */
final class CheckedCodesTest {
  private final Backend backend = new CheckedBackend(CpuBackend.open(1));
  private final Probe probe = new Probe(backend);
  private final Tensor plain = probe.zeros(2, 4); // f32
  private final Tensor codes = probe.codes(new float[] {1}, 2, 4);
  private final Tensor perColumn = probe.codes(new float[] {1, 2, 3, 4}, 2, 4);
  private final Tensor unscaled = probe.bytes(new byte[8], 2, 4);

  @AfterEach
  void close() {
    backend.close();
  }

  private static void assertRefused(String message, Executable call) {
    assertEquals(message, assertThrows(IllegalArgumentException.class, call).getMessage());
  }

  private Linear linear(DType input) {
    HostTensor weight = new HostTensor(DType.I8, Shape.of(4, 4), ByteBuffer.wrap(new byte[16]));
    HostTensor scales = HostTensor.of(Shape.of(4), 1, 1, 1, 1);
    return new Linear(backend.pack(QuantizedWeight.of(weight, scales), input));
  }

  @Test
  void linearTakesWhatItsWeightWasPackedFor() {
    assertRefused(
        "linear x: expected I8 (*, 4), found F32 (2, 4)",
        () -> backend.linear(linear(DType.I8), plain, codes));
    assertRefused(
        "linear x: expected F32 (*, 4), found I8 (2, 4)",
        () -> backend.linear(linear(DType.F32), codes, plain));
    assertRefused(
        "linear x: expected one scale for all columns, found (4)",
        () -> backend.linear(linear(DType.I8), perColumn, plain));
    assertRefused(
        "linear x: expected codes with a scale, found I8 (2, 4): the tensor has no scale",
        () -> backend.linear(linear(DType.I8), unscaled, plain));
    assertRefused(
        "linear out: expected F32 (2, 4), found I8 (2, 4)",
        () -> backend.linear(linear(DType.F32), plain, codes));
    assertRefused("pack input: expected F32 or I8, found F16", () -> linear(DType.F16));
  }

  @Test
  void linearsAreCheckedEach() {
    Product good = new Product(linear(DType.I8), plain);
    Product bad = new Product(linear(DType.F32), plain);
    assertRefused(
        "linear x: expected F32 (*, 4), found I8 (2, 4)",
        () -> backend.linears(codes, List.of(good, bad)));
  }

  @Test
  void convKeepsToOneDtype() {
    Conv conv = new Conv(probe.zeros(4, 3), probe.zeros(4));
    Batch batch = probe.row(0, 2, 0);
    assertRefused(
        "conv state: expected I8 (*, 2, 4), found F32 (1, 2, 4)",
        () -> backend.conv(conv, batch, codes, probe.zeros(1, 2, 4), codes));
    assertRefused(
        "conv out: expected F32 (2, 4), found I8 (2, 4)",
        () -> backend.conv(conv, batch, plain, probe.zeros(1, 2, 4), codes));
  }

  @Test
  void linearsConvChecksBoth() {
    Conv conv = new Conv(probe.zeros(4, 3), probe.zeros(4));
    Batch batch = probe.row(0, 2, 0);
    Tensor state = probe.bytes(new byte[8], 1, 2, 4);
    Product bad = new Product(linear(DType.F32), plain);
    assertRefused(
        "linear x: expected F32 (*, 4), found I8 (2, 4)",
        () -> backend.linearsConv(codes, List.of(bad), conv, batch, codes, state, codes));
    Product good = new Product(linear(DType.I8), plain);
    assertRefused(
        "conv out: expected I8 (2, 4), found F32 (2, 4)",
        () -> backend.linearsConv(codes, List.of(good), conv, batch, codes, state, plain));
  }

  @Test
  void scanReadsCodesOrFloatsIntoAStateMadeForIt() {
    Scan.Dims dims = new Scan.Dims(4, 1, 4, 1);
    Scan.Dims other = new Scan.Dims(4, 1, 5, 1);
    Tensor four = probe.zeros(4);
    Scan scan = new Scan(four, four, four, dims, Scan.Limit.NONE);
    Batch batch = probe.row(0, 2, 0);
    Tensor state = backend.allocateState(new ScanState.RowScaled(), DType.F32, other, 1);
    Tensor floats = backend.allocateState(new ScanState.F32(), DType.F32, dims, 1);
    assertRefused(
        "scan dt: expected F32 (2, 4), found I8 (2, 4)",
        () -> backend.scan(scan, batch, plain, codes, plain, plain, floats, plain));
    assertRefused(
        "scan b: expected I8 (2, 4), found F32 (2, 4)",
        () -> backend.scan(scan, batch, codes, plain, plain, codes, floats, plain));
    assertRefused(
        "scan state: expected one made for F32 and %s, found for F32 and %s".formatted(dims, other),
        () -> backend.scan(scan, batch, plain, plain, plain, plain, state, plain));
    assertRefused(
        "state scale: expected F32 (4, 1, 4), found F32 (2, 4)",
        () -> backend.allocateState(new ScanState.StaticScaled(plain), DType.F32, dims, 1));
    Tensor ofCodes = backend.allocateState(new ScanState.RowScaled(), DType.I8, dims, 1);
    assertRefused(
        "scan state: expected one made for F32 and %s, found for I8 and %s".formatted(dims, dims),
        () -> backend.scan(scan, batch, plain, plain, plain, plain, ofCodes, plain));
    assertRefused(
        "rotate x: expected F32 (*, *), found a rounded state (1, 4, 1, 5)",
        () -> backend.rotate(state, plain));
  }

  @Test
  void gateAndRotateReadFloats() {
    assertRefused(
        "gate y: expected F32 (*, *), found I8 (2, 4)",
        () -> backend.gate(new Gate.Plain(), codes, plain, plain));
    assertRefused(
        "gate z: expected codes with a scale, found I8 (2, 4): the tensor has no scale",
        () -> backend.gate(new Gate.Plain(), plain, unscaled, plain));
    assertRefused(
        "rotate x: expected F32 (*, *), found I8 (2, 4)", () -> backend.rotate(codes, plain));
    Tensor odd = probe.zeros(2, 9);
    assertThrows(IllegalArgumentException.class, () -> backend.rotate(odd, odd));
  }

  @Test
  void scalesFitTheirMatrix() {
    String message = "scaled: expected an I8 matrix and F32 scales, 1 or one a column, found ";
    assertRefused(message + "I8 (2, 4) and F32 (3)", () -> unscaled.scaled(probe.zeros(3)));
    assertRefused(message + "F32 (2, 4) and F32 (1)", () -> plain.scaled(probe.zeros(1)));
    assertRefused(message + "I8 (2, 4) and F32 (2, 4)", () -> unscaled.scaled(plain));
    assertThrows(IllegalStateException.class, unscaled::scale);
  }

  @Test
  void viewsHaveTheirPartOfTheScales() {
    Tensor view = perColumn.rows(1, 1).columns(1, 2);
    assertEquals(2f, probe.floats(view.scale())[0]);
    assertEquals(3f, probe.floats(view.scale())[1]);
    assertEquals(Shape.of(1), codes.columns(1, 2).scale().shape());
  }
}
