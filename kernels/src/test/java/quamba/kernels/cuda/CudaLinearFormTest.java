package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.KnownAnswers;
import quamba.kernels.Product;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.kernels.cpu.CpuBackend;
import quamba.kernels.cuda.CudaLinearForm.Size;

/** Which kernel multiplies codes, and over how many blocks, without a device. */
final class CudaLinearFormTest {
  private static final int MULTIPROCESSORS = 132;
  private static final int MOST_SHARED_BYTES = 227 << 10; // of a block of sm_90
  private static final int MOST_STATIC_BYTES = 9 << 10; // of those that have any

  /** A sliced block keeps 16 chunks of 64 rows or 32 of 32, in clusters of 2 or, of f32, of 4. */
  @ParameterizedTest
  @CsvSource({
    "1, 2560, I8, FEW8",
    "8, 8194, I8, FEW8",
    "9, 2560, I8, FEW16",
    "16, 8194, I8, FEW16",
    "17, 2560, I8, SLICED32",
    "32, 8192, I8, SLICED32",
    "33, 2560, F32, SLICED64",
    "64, 4096, I8, SLICED64",
    "64, 4098, I8, SLICED32",
    "64, 8192, I8, SLICED32",
    "64, 8194, I8,",
    "33, 8194, I8,",
    "32, 8194, I8,",
    "17, 8194, I8,",
    "64, 8192, F32, SLICED64",
    "64, 8194, F32, SLICED32",
    "64, 16386, F32,",
    "65, 2560, I8,"
  })
  void fourBitFormsGoByTheirRowsAndRoomForInputs(
      int n, int in, DType out, CudaLinearForm expected) {
    assertEquals(
        Optional.ofNullable(expected),
        CudaLinearForm.ofFourBit(new Size(n, in, 2560), out, MULTIPROCESSORS));
  }

  /** Of up to 8 rows, all blocks run at once if they can: 2, 4, or 3 of two tiles on each. */
  @ParameterizedTest
  @CsvSource({
    "5120, 2560, 0, F32, HELD8",
    "8192, 4096, 0, F32, HELD8",
    "4096, 4224, 0, F32, HELD8",
    "4096, 4225, 0, F32, FEW8",
    "3968, 2560, 0, F32, FEW8",
    "1536, 768, 0, F32, FEW8",
    "5120, 2560, 0, I8, FEW8",
    "768, 3328, 24, I8, FEW8",
    "2048, 8368, 80, I8, FEW8",
    "2048, 8369, 80, I8, PAIR8",
    "2560, 10496, 80, I8, PAIR8",
    "2560, 50288, 0, F32, PAIR8"
  })
  void formsForEightRowsGoByTheirTiles(
      int in, int out, int tail, DType dtype, CudaLinearForm expected) {
    for (int n : new int[] {1, 8}) {
      assertEquals(
          Optional.of(expected),
          CudaLinearForm.ofFourBit(new Size(n, in, out, tail), dtype, MULTIPROCESSORS));
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 4, 4", "33, 4, 8", "896, 4, 112", "2560, 4, 112", "33, 2, 4", "2560, 2, 132"})
  void clustersOfSlicedFormsRunAtOnce(int out, int splits, int across) {
    Size size = new Size(64, 4096, out);
    assertEquals(across, CudaLinearForm.SLICED64.across(size, splits, MULTIPROCESSORS));
  }

  /** Of heads and output projections, the faster on an H200 of those that were timed. */
  @ParameterizedTest
  @CsvSource({
    "SLICED64, 2560, 50288, F32, 2",
    "SLICED64, 4096, 256000, F32, 2",
    "SLICED64, 768, 50288, F32, 2",
    "SLICED64, 5120, 50288, F32, 4",
    "SLICED64, 5120, 2560, F32, 4",
    "SLICED64, 1536, 768, F32, 4",
    "SLICED32, 8192, 4096, F32, 4",
    "SLICED64, 2560, 10576, I8, 2",
    "SLICED32, 2560, 10576, I8, 2"
  })
  void manyOutputsOfSlicedFormsAreOfPairs(
      CudaLinearForm form, int in, int out, DType dtype, int expected) {
    assertEquals(expected, form.splits(new Size(64, in, out), dtype, MULTIPROCESSORS));
  }

  /** Those that were the fastest on an H200, of sizes that were timed. */
  @ParameterizedTest
  @CsvSource({
    "128, 2560, 10496, 80, WIDE96, 1",
    "256, 2560, 10496, 80, WIDE192, 1",
    "512, 2560, 10496, 80, WIDE192, 1",
    "1024, 2560, 10496, 80, WIDE256, 1",
    "8192, 2560, 10496, 80, WIDE256, 1",
    "128, 5120, 2560, 0, WIDE64, 2",
    "256, 5120, 2560, 0, WIDE96, 2",
    "512, 5120, 2560, 0, WIDE96, 1",
    "1024, 5120, 2560, 0, WIDE160, 1",
    "8192, 5120, 2560, 0, WIDE256, 1",
    "128, 4096, 18432, 128, WIDE160, 1",
    "256, 4096, 18432, 128, WIDE160, 1",
    "512, 4096, 18432, 128, WIDE192, 1",
    "8192, 4096, 18432, 128, WIDE256, 1",
    "128, 8192, 4096, 0, WIDE64, 2",
    "256, 8192, 4096, 0, WIDE128, 2",
    "512, 8192, 4096, 0, WIDE128, 1",
    "8192, 8192, 4096, 0, WIDE256, 1",
    "128, 768, 3328, 24, WIDE64, 1",
    "512, 768, 3328, 24, WIDE128, 1",
    "1024, 768, 3328, 24, WIDE256, 1",
    "8192, 768, 3328, 24, WIDE256, 1",
    "128, 1536, 768, 0, WIDE64, 2",
    "512, 1536, 768, 0, WIDE64, 2",
    "1024, 1536, 768, 0, WIDE64, 1",
    "8192, 1536, 768, 0, WIDE192, 1",
    "0, 2560, 80, 0, WIDE256, 1"
  })
  void wideFormsGoByTheirTurns(
      int n, int in, int out, int tail, CudaLinearForm expected, int splits) {
    Size size = new Size(n, in, out, tail);
    assertEquals(expected, CudaLinearForm.ofEightBit(size, MULTIPROCESSORS));
    assertEquals(splits, expected.splits(size, DType.F32, MULTIPROCESSORS));
  }

  @ParameterizedTest
  @CsvSource({
    "FEW8, 2560, 2560, 1",
    "WIDE64, 2560, 2560, 2",
    "WIDE64, 2560, 10576, 1",
    "WIDE64, 128, 64, 1"
  })
  void inputsOfFewTilesAreSplit(CudaLinearForm form, int in, int out, int expected) {
    assertEquals(expected, form.splits(new Size(16, in, out), DType.I8, MULTIPROCESSORS));
  }

  @ParameterizedTest
  @CsvSource({
    "FEW8, 1, 33, 1, 3, 1",
    "FEW8, 9, 32, 1, 2, 2",
    "PAIR8, 9, 33, 1, 2, 2",
    "HELD8, 8, 33, 1, 3, 1",
    "FEW16, 16, 16, 1, 1, 1",
    "SLICED32, 33, 1, 2, 2, 2",
    "SLICED32, 32, 33, 2, 4, 1",
    "SLICED64, 64, 10576, 2, 132, 1",
    "WIDE64, 1, 80, 1, 2, 1",
    "WIDE64, 1, 80, 2, 4, 1",
    "WIDE192, 1, 80, 1, 2, 1",
    "WIDE192, 512, 10576, 1, 132, 1",
    "WIDE192, 0, 10576, 1, 0, 1"
  })
  void blocksCoverTheProduct(
      CudaLinearForm form, int n, int out, int splits, int across, int down) {
    Size size = new Size(n, 2560, out);
    assertEquals(across, form.across(size, splits, MULTIPROCESSORS));
    assertEquals(down, form.down(size));
  }

  @ParameterizedTest
  @CsvSource({
    "FEW8, 33, 80, 1, 8",
    "PAIR8, 33, 80, 1, 5",
    "PAIR8, 10496, 80, 1, 331",
    "FEW16, 10496, 80, 1, 661",
    "SLICED32, 64, 65, 2, 10",
    "SLICED64, 10496, 80, 2, 132",
    "WIDE64, 33, 80, 1, 4",
    "WIDE192, 10, 129, 2, 6",
    "WIDE256, 10496, 80, 1, 42"
  })
  void blocksCoverTheTail(CudaLinearForm form, int out, int tail, int splits, int across) {
    Size size = new Size(8, 2560, out, tail);
    assertEquals(across, form.across(size, splits, MULTIPROCESSORS));
    assertTrue(form.takesTail());
  }

  @ParameterizedTest
  @EnumSource(CudaLinearForm.class)
  void formsAreNamedAsTheirKernels(CudaLinearForm form) {
    String name = "linear_" + form.name().toLowerCase(Locale.ROOT);
    String weight = form.readsFourBit() ? "_i4_i8_" : "_i8_i8_";
    for (int splits = form.leastSplits(); splits <= form.mostSplits(DType.F32); splits *= 2) {
      CudaKernel kernel = form.kernel(DType.F32, splits);
      assertEquals((splits == 4 ? name + "x4" : name) + weight + "f32", kernel.entry());
      assertEquals(form.asksForSplits(), kernel.signature().contains("int splits"));
    }
    for (int splits = form.leastSplits(); splits <= form.mostSplits(DType.I8); splits *= 2) {
      CudaKernel kernel = form.kernel(DType.I8, splits);
      // Nothing of few tiles and many inputs writes codes.
      String ofCodes = form == CudaLinearForm.HELD8 ? "linear_few8" : name;
      assertEquals(ofCodes + weight + "i8", kernel.entry());
      assertEquals(form.asksForSplits(), kernel.signature().contains("int splits"));
    }
    form.convKernel().ifPresent(conv -> assertEquals(name + "_conv" + weight + "i8", conv.entry()));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 8, 9, 16, 17, 32, 33, 64})
  void fewRowsAreConvolvedToo(int n) {
    for (int in : new int[] {2560, 8192}) {
      for (int out : new int[] {2560, 10576}) {
        CudaLinearForm form =
            CudaLinearForm.ofFourBit(new Size(n, in, out), DType.I8, MULTIPROCESSORS).orElseThrow();
        assertTrue(form.convKernel().isPresent(), form.toString());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(CudaLinearForm.class)
  void blocksFitAMultiprocessor(CudaLinearForm form) {
    for (DType out : new DType[] {DType.F32, DType.I8}) {
      int bytes = form.kernel(out, form.mostSplits(out)).sharedBytes();
      int fixed = form.name().startsWith("SLICED") ? 0 : MOST_STATIC_BYTES;
      assertTrue(bytes > 0 && bytes + fixed <= MOST_SHARED_BYTES, form.toString());
    }
  }

  /** A slot is of q, ratios and rows of x: 1,024, 32, and 128 bytes each. */
  @ParameterizedTest
  @CsvSource({
    "FEW8, 1, 1, 9472",
    "FEW8, 8, 1, 16640",
    "FEW8, 8, 768, 16640",
    "FEW8, 8, 1025, 33280",
    "FEW8, 1, 2560, 28416",
    "FEW8, 3, 2560, 34560",
    "FEW8, 8, 2560, 49920",
    "FEW8, 1, 5120, 47360",
    "FEW8, 8, 5120, 83200",
    "FEW8, 8, 8192, 99840",
    "FEW8, 600, 8192, 99840",
    "PAIR8, 1, 1, 17920",
    "PAIR8, 1, 2560, 53760",
    "PAIR8, 8, 2560, 75264",
    "PAIR8, 8, 8192, 75264",
    "HELD8, 1, 5120, 47360",
    "FEW16, 9, 2560, 52992",
    "FEW16, 16, 2560, 74496",
    "FEW16, 16, 5120, 99328",
    "SLICED64, 64, 2560, 232448"
  })
  void blocksOfFewRowsTakeRoomForTheirChunksAndRows(
      CudaLinearForm form, int n, int in, int expected) {
    Size size = new Size(n, in, 2560);
    assertEquals(expected, form.sharedBytes(form.kernel(DType.F32, form.leastSplits()), size));
  }

  /** What a GPU is asked when it is opened chooses each form for few rows, and one for many. */
  @Test
  void everyFormForFewRowsIsAmongTheKnownAnswers() {
    Set<CudaKernel> asked = new HashSet<>();
    try (Backend cpu = CpuBackend.open(1)) {
      InvocationHandler note =
          (proxy, method, arguments) -> {
            if (method.getName().equals("linears")) {
              Shape x = ((Tensor) arguments[0]).shape();
              Product product = (Product) ((List<?>) arguments[1]).get(0);
              Size size = new Size(x.dim(0), x.dim(1), product.out().shape().dim(1));
              asked.add(
                  CudaLinearForm.ofFourBit(size, DType.F32, MULTIPROCESSORS)
                      .map(
                          form ->
                              form.kernel(DType.F32, form.splits(size, DType.F32, MULTIPROCESSORS)))
                      .orElse(CudaKernel.LINEAR_WIDE64_I8_I8_F32));
            }
            return method.invoke(cpu, arguments);
          };
      Class<?>[] types = {Backend.class};
      ClassLoader loader = Backend.class.getClassLoader();
      KnownAnswers.check((Backend) Proxy.newProxyInstance(loader, types, note));
    }
    Set<CudaKernel> expected = new HashSet<>(Set.of(CudaKernel.LINEAR_WIDE64_I8_I8_F32));
    Stream.of(CudaLinearForm.values())
        .filter(CudaLinearForm::readsFourBit)
        .forEach(
            form -> {
              expected.add(form.kernel(DType.F32, form.leastSplits()));
              expected.add(form.kernel(DType.F32, form.mostSplits(DType.F32)));
            });
    assertEquals(expected, asked);
  }
}
