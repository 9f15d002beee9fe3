package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import quamba.kernels.Batch;
import quamba.kernels.CodesContract;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.Linear;
import quamba.kernels.Probe;
import quamba.kernels.Product;
import quamba.kernels.Tensor;

/** Convolutions in the kernels of matrix products, bit by bit as by the kernel of their own. */
@NeedsCuda
final class CudaConvStepTest {
  private static final int IN = 1024;
  private static final int FIRST = 68; // column
  private static final int CHANNELS = 4604; // more tiles than blocks
  private static final int OUT = 4682;
  private static final int WIDTH = 4684; // of the buffer
  private static final int TAIL = 70;

  private CudaBackend cuda;
  private Probe probe;

  @BeforeEach
  void open() {
    cuda = CudaBackend.open(0);
    probe = new Probe(cuda);
  }

  @AfterEach
  void close() {
    cuda.close();
  }

  /** Products and what is convolved of them. */
  private record Call(Tensor x, List<Product> products, CudaConvStep step, Tensor codes) {
    List<CudaProduct> ofCodes() {
      return products.stream().map(CudaProduct::of).toList();
    }
  }

  private Call call(int rows, int first, int width) {
    Tensor weight = pack(100, OUT);
    Tensor tail = pack(101, TAIL);
    Tensor codes = probe.bytes(new byte[rows * width], rows, width);
    Tensor scales = probe.floats(Probe.randomScales(102, OUT, 0.13f), OUT);
    Tensor whole = codes.columns(0, OUT).scaled(scales);
    Tensor in = whole.columns(first, CHANNELS);
    Conv conv =
        new Conv(
            probe.floats(Probe.random(103, CHANNELS * 4), CHANNELS, 4),
            probe.floats(Probe.random(104, CHANNELS), CHANNELS));
    int[] slots = new int[rows];
    int[] counts = new int[rows];
    int[] positions = new int[rows];
    Arrays.setAll(slots, row -> rows - row);
    Arrays.fill(counts, 1);
    Arrays.setAll(positions, row -> row % 4 == 3 ? 100 : row % 4);
    Batch batch = probe.batch(slots, counts, positions);
    int places = (rows + 1) * 3 * CHANNELS;
    Tensor state = probe.bytes(Probe.randomCodes(105, places), rows + 1, 3, CHANNELS);
    Tensor outScales = probe.floats(Probe.randomScales(106, CHANNELS, 0.2f), CHANNELS);
    CudaConvStep step =
        new CudaConvStep(
            conv,
            batch,
            (CudaTensor) in,
            (CudaTensor) state,
            (CudaTensor) codes.columns(first, CHANNELS).scaled(outScales));
    Tensor x = probe.codes(Probe.randomCodes(107, rows * IN), new float[] {0.01f}, rows, IN);
    List<Product> products =
        List.of(
            new Product(new Linear(weight), whole),
            new Product(new Linear(tail), probe.zeros(rows, TAIL)));
    return new Call(x, products, step, codes);
  }

  private Tensor pack(long seed, int out) {
    return cuda.pack(CodesContract.Matrix.fourBit(seed, out, IN).weight(), DType.I8);
  }

  private void assertEqual(Call expected, Call found, String what) {
    assertArrayEquals(probe.bytes(expected.codes()), probe.bytes(found.codes()), what);
    assertArrayEquals(
        probe.floats(expected.products().get(1).out()),
        probe.floats(found.products().get(1).out()),
        what);
    assertArrayEquals(
        probe.bytes(expected.step().state()), probe.bytes(found.step().state()), what);
  }

  @ParameterizedTest
  @MethodSource("formsThatConvolve")
  void everyFormEqualsOneByOne(CudaLinearForm form) {
    for (int rows : new int[] {1, 7, 17, 64, 130}) {
      Call expected = call(rows, FIRST, WIDTH);
      CudaConvStep own = expected.step();
      assumeTrue(expected.products().get(0).linear().weight() instanceof CudaCodes);
      cuda.linears(expected.x(), expected.products());
      cuda.conv(own.conv(), own.batch(), own.x(), own.state(), own.out());
      Call found = call(rows, FIRST, WIDTH);
      assertTrue(found.step().fits(found.ofCodes().get(0).out()));
      CudaTensor x = (CudaTensor) found.x();
      cuda.linear().run(form, form.leastSplits(), found.step(), x, found.ofCodes());
      assertEqual(expected, found, rows + " rows");
    }
  }

  private static Stream<CudaLinearForm> formsThatConvolve() {
    return Arrays.stream(CudaLinearForm.values()).filter(form -> form.convKernel().isPresent());
  }

  @Test
  void onlyWhatFitsIsDoneAtOnce() {
    assertEquals(true, isAtOnce(call(5, FIRST, WIDTH)));
    assertEquals(true, isAtOnce(call(64, FIRST, WIDTH)));
    assertEquals(false, isAtOnce(call(65, FIRST, WIDTH)));
    assertEquals(false, isAtOnce(call(5, FIRST + 1, WIDTH)));
    assertEquals(false, isAtOnce(call(5, FIRST, WIDTH + 1)));
  }

  private boolean isAtOnce(Call call) {
    assumeTrue(call.products().get(0).linear().weight() instanceof CudaCodes);
    return cuda.linear().runWith(call.step(), (CudaTensor) call.x(), call.products());
  }
}
