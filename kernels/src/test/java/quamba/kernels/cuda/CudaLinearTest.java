package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Backend;
import quamba.kernels.CheckedBackend;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Linear;
import quamba.kernels.Probe;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.kernels.cpu.CpuBackend;

/** Matrix products of codes, bit by bit as the CPU backend's, and nothing written beside them. */
@NeedsCuda
final class CudaLinearTest {
  private static final float[] X_SCALE = {0.01f};
  private static final int LEFT = 3; // columns beside an output view
  private static final int BESIDE = 5; // columns beside it on both sides

  private CudaBackend cuda;
  private Probe probe;
  private Probe cpu;

  @BeforeEach
  void open() {
    cuda = CudaBackend.open(0);
    probe = new Probe(new CheckedBackend(cuda));
    cpu = new Probe(new CheckedBackend(CpuBackend.open(2)));
  }

  @AfterEach
  void close() {
    probe.backend().close();
    cpu.backend().close();
  }

  /** What a product is of, and what the CPU makes of it. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Expected(
      QuantizedWeight weight, byte[] x, float[] scales, float[] floats, byte[] codes) {
    int rows() {
      return x.length / weight.in();
    }

    static Expected of(Probe cpu, QuantizedWeight weight, int rows) {
      byte[] x = Probe.randomCodes(80, rows * weight.in());
      // So that some results are held to −128 and 127.
      float size = (float) Math.sqrt(weight.in()) / 250;
      float[] scales = Probe.randomScales(81, weight.out(), size);
      Backend backend = cpu.backend();
      Linear linear = new Linear(backend.pack(weight, DType.I8));
      Tensor xs = cpu.codes(x, X_SCALE, rows, weight.in());
      Tensor floats = cpu.zeros(rows, weight.out());
      backend.linear(linear, xs, floats);
      Tensor codes = cpu.codes(scales, rows, weight.out());
      backend.linear(linear, xs, codes);
      return new Expected(weight, x, scales, cpu.floats(floats), cpu.bytes(codes));
    }
  }

  private static QuantizedWeight eightBit(int out, int in) {
    byte[] codes = Probe.randomCodes(82, out * in);
    return QuantizedWeight.of(
        new HostTensor(DType.I8, Shape.of(out, in), ByteBuffer.wrap(codes)),
        HostTensor.of(Shape.of(out), Probe.randomScales(83, out, 1f / 127)));
  }

  /** With scales of either sign, a last row of zeros, and a group of zeros of no finite ratio. */
  private static QuantizedWeight fourBit(int out, int in) {
    int groups = (in + 127) / 128;
    byte[] pairs = Probe.randomCodes(84, out * in / 2);
    float[] scales = Probe.randomScales(85, out * groups, 1f / 7);
    for (int i = 0; i < scales.length; i += 3) {
      scales[i] = -scales[i];
    }
    if (out > 1) {
      Arrays.fill(pairs, (out - 1) * in / 2, out * in / 2, (byte) 0);
      Arrays.fill(pairs, 0, Math.min(in, 128) / 2, (byte) 0);
      scales[0] = 1e30f;
    }
    return QuantizedWeight.of(
        new HostTensor(DType.U8, Shape.of(out, in / 2), ByteBuffer.wrap(pairs)),
        HostTensor.of(Shape.of(out, groups), scales));
  }

  /** Of every kernel that the backend chooses, tiles that are full and not, x aligned and not. */
  @ParameterizedTest
  @ValueSource(ints = {1, 5, 8, 9, 16, 17, 40, 64, 65, 130, 300})
  void linearOfCodesEqualsTheCpuBackend(int rows) {
    for (QuantizedWeight weight :
        List.of(
            eightBit(33, 45),
            eightBit(1, 131),
            eightBit(200, 1001),
            eightBit(777, 2560),
            fourBit(33, 46),
            fourBit(1, 130),
            fourBit(200, 1002),
            fourBit(777, 2560))) {
      Expected expected = Expected.of(cpu, weight, rows);
      Linear linear = new Linear(probe.backend().pack(weight, DType.I8));
      BiConsumer<Tensor, Tensor> product = (x, out) -> probe.backend().linear(linear, x, out);
      assertEqual(expected, aligned(expected), product);
      assertEqual(expected, probe.view(expected.x(), X_SCALE, rows, weight.in()), product);
      assertEqual(expected, probe.codes(expected.x(), X_SCALE, rows, weight.in()), product);
    }
  }

  /** More of them than fit the room for such rows at once. */
  @ParameterizedTest
  @ValueSource(ints = {700})
  void manyRowsThatAreNotAlignedEqualTheCpuBackend(int rows) {
    for (QuantizedWeight weight : List.of(eightBit(17, 2562), fourBit(17, 2562))) {
      Expected expected = Expected.of(cpu, weight, rows);
      Linear linear = new Linear(probe.backend().pack(weight, DType.I8));
      Tensor x = probe.view(expected.x(), X_SCALE, rows, weight.in());
      assertEqual(expected, x, (from, out) -> probe.backend().linear(linear, from, out));
    }
  }

  /** Every kernel, those that are not the best for a size too, with every split of the inputs. */
  @ParameterizedTest
  @EnumSource(CudaLinearForm.class)
  void everyFormEqualsTheCpuBackend(CudaLinearForm form) {
    for (QuantizedWeight weight :
        List.of(fourBit(33, 46), fourBit(1, 130), fourBit(200, 1002), fourBit(777, 2560))) {
      Tensor packed = probe.backend().pack(weight, DType.I8);
      assumeTrue(packed instanceof CudaCodes, "the device has no warpgroups");
      for (int rows : new int[] {1, 17, 130, 300}) {
        Expected expected = Expected.of(cpu, weight, rows);
        for (int splits = form.leastSplits();
            splits <= most(form, DType.F32, weight);
            splits *= 2) {
          int shared = splits;
          assertEqual(expected, aligned(expected), (x, out) -> run(form, shared, x, packed, out));
        }
      }
    }
  }

  private void run(CudaLinearForm form, int splits, Tensor x, Tensor packed, Tensor out) {
    int most = Math.min(splits, form.mostSplits(out.dtype()));
    cuda.linear().run(form, most, (CudaTensor) x, List.of(product(packed, out)));
  }

  /** With more tiles of outputs than blocks, for kernels whose blocks go from one to the next. */
  @ParameterizedTest
  @EnumSource(names = {"FEW8", "PAIR8", "HELD8", "FEW16", "SLICED32", "SLICED64"})
  void formsThatGoFromTileToTileEqualTheCpuBackend(CudaLinearForm form) {
    for (QuantizedWeight weight : List.of(fourBit(9001, 130), fourBit(13_000, 514))) {
      Tensor packed = probe.backend().pack(weight, DType.I8);
      assumeTrue(packed instanceof CudaCodes, "the device has no warpgroups");
      for (int rows : new int[] {1, 7, 20}) {
        Expected expected = Expected.of(cpu, weight, rows);
        for (int splits = form.leastSplits(); splits <= form.mostSplits(DType.F32); splits *= 2) {
          int shared = splits;
          assertEqual(expected, aligned(expected), (x, out) -> run(form, shared, x, packed, out));
        }
      }
    }
  }

  /** Every kernel that computes another product of the same x, for either of them. */
  @ParameterizedTest
  @MethodSource("formsWithATail")
  void everyFormWithATailEqualsTheCpuBackend(CudaLinearForm form) {
    int[][] sizes = {{33, 5, 46}, {1, 80, 130}, {200, 1, 1002}, {777, 80, 2560}};
    for (int[] size : sizes) {
      QuantizedWeight weight = fourBit(size[0], size[2]);
      QuantizedWeight tailWeight = fourBit(size[1], size[2]);
      Tensor packed = probe.backend().pack(weight, DType.I8);
      Tensor tailPacked = probe.backend().pack(tailWeight, DType.I8);
      assumeTrue(packed instanceof CudaCodes, "the device has no warpgroups");
      for (int rows : new int[] {1, 17, 130, 300}) {
        Expected expected = Expected.of(cpu, weight, rows);
        Expected tail = Expected.of(cpu, tailWeight, rows);
        CudaTensor x = (CudaTensor) aligned(expected);
        for (int splits = form.leastSplits(); splits <= most(form, DType.I8, weight); splits *= 2) {
          String what = "%d rows by %s, %d splits".formatted(rows, Arrays.toString(size), splits);
          Tensor codes = codesBeside(expected);
          Tensor floats = floatsBeside(tail);
          List<CudaProduct> products =
              List.of(
                  product(packed, codes.columns(LEFT, weight.out())),
                  product(tailPacked, floats.columns(LEFT, tailWeight.out())));
          cuda.linear().run(form, splits, x, products);
          assertArrayEquals(beside(expected.codes(), rows), probe.bytes(codes), what);
          assertArrayEquals(beside(tail.floats(), rows), probe.floats(floats), what);
        }
      }
    }
  }

  private static Stream<CudaLinearForm> formsWithATail() {
    return Arrays.stream(CudaLinearForm.values()).filter(CudaLinearForm::takesTail);
  }

  private static CudaProduct product(Tensor packed, Tensor out) {
    return new CudaProduct((CudaCodes) packed, (CudaTensor) out);
  }

  /** A wide form's blocks have a chunk of the inputs each or more. */
  private static int most(CudaLinearForm form, DType out, QuantizedWeight weight) {
    int most = form.mostSplits(out);
    return form.readsFourBit() ? most : Math.min(most, (weight.in() + 127) / 128);
  }

  /** The rows of x with something behind each. */
  private Tensor aligned(Expected expected) {
    int in = expected.weight().in();
    int width = (in + 31) / 16 * 16;
    byte[] wide = new byte[expected.rows() * width];
    Arrays.fill(wide, (byte) 99);
    for (int row = 0; row < expected.rows(); row++) {
      System.arraycopy(expected.x(), row * in, wide, row * width, in);
    }
    return probe.codes(wide, X_SCALE, expected.rows(), width).columns(0, in);
  }

  private void assertEqual(Expected expected, Tensor x, BiConsumer<Tensor, Tensor> product) {
    int rows = expected.rows();
    int out = expected.weight().out();
    String what = "%d rows by %d, %d".formatted(rows, out, expected.weight().in());

    Tensor floats = probe.zeros(rows, out);
    product.accept(x, floats);
    assertArrayEquals(expected.floats(), probe.floats(floats), what);
    Tensor codes = probe.codes(expected.scales(), rows, out);
    product.accept(x, codes);
    assertArrayEquals(expected.codes(), probe.bytes(codes), what);

    Tensor floatsBeside = floatsBeside(expected);
    Tensor codesBeside = codesBeside(expected);
    product.accept(x, floatsBeside.columns(LEFT, out));
    product.accept(x, codesBeside.columns(LEFT, out));
    String viewed = what + " as a view";
    assertArrayEquals(beside(expected.floats(), rows), probe.floats(floatsBeside), viewed);
    assertArrayEquals(beside(expected.codes(), rows), probe.bytes(codesBeside), viewed);
  }

  /** Where outputs are to come, with something beside them. */
  private Tensor floatsBeside(Expected expected) {
    int rows = expected.rows();
    int width = expected.weight().out() + BESIDE;
    return probe.floats(beside(new float[expected.floats().length], rows), rows, width);
  }

  private Tensor codesBeside(Expected expected) {
    int rows = expected.rows();
    float[] scales = beside(expected.scales(), 1);
    return probe.codes(
        beside(new byte[expected.codes().length], rows), scales, rows, scales.length);
  }

  private static float[] beside(float[] values, int rows) {
    int out = values.length / rows;
    float[] wide = new float[rows * (out + BESIDE)];
    Arrays.fill(wide, 77);
    for (int row = 0; row < rows; row++) {
      System.arraycopy(values, row * out, wide, row * (out + BESIDE) + LEFT, out);
    }
    return wide;
  }

  private static byte[] beside(byte[] values, int rows) {
    int out = values.length / rows;
    byte[] wide = new byte[rows * (out + BESIDE)];
    Arrays.fill(wide, (byte) 77);
    for (int row = 0; row < rows; row++) {
      System.arraycopy(values, row * out, wide, row * (out + BESIDE) + LEFT, out);
    }
    return wide;
  }
}
