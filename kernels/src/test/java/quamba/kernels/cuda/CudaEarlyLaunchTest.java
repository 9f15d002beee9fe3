package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import quamba.kernels.BackendUnavailableException;

/** Which kernels begin while the one before them ends; launches nothing. */
final class CudaEarlyLaunchTest {
  private static final Path SOURCES = Path.of("src", "main", "cuda");

  /** One that did not wait would read what is not there yet. */
  @ParameterizedTest
  @EnumSource(CudaKernel.class)
  void whoBeginsEarlyWaits(CudaKernel kernel) throws IOException {
    String text = Files.readString(SOURCES.resolve(kernel.file() + ".cu"));
    boolean early = Stream.of(CudaKernel.values()).anyMatch(kernel::beginsEarly);
    assertEquals(early, text.contains("await_before();"), kernel.entry());
  }

  /** It reads states before it waits, so what wrote them must be done, and there must be room. */
  @ParameterizedTest
  @CsvSource({
    "LINEAR_FEW8_CONV_I4_I8_I8, true",
    "LINEAR_PAIR8_CONV_I4_I8_I8, true",
    "LINEAR_PAIR8_I4_I8_I8, true",
    "LINEAR_FEW16_CONV_I4_I8_I8, false",
    "LINEAR_HELD8_I4_I8_F32, false",
    "LINEAR_SLICED32_CONV_I4_I8_I8, false",
    "CONV_DECODE_I8_I8_I8, false",
    "SCAN_DECODE_I8_ROW_F32, false",
    "COPY_I32, false"
  })
  void theScanBeginsEarlyBehindProductsOfFewRows(CudaKernel before, boolean expected) {
    assertEquals(expected, CudaKernel.SCAN_DECODE_I8_ROW_F32.beginsEarly(before));
    assertEquals(true, CudaKernel.NORM_F32_I8.beginsEarly(before));
  }

  @Test
  void theNativePartLoadsOnceOrSaysWhatIsMissing() {
    if (CudaEarlyLaunch.class.getResource("early_launch.so") != null) {
      CudaEarlyLaunch.INSTANCE.load();
      CudaEarlyLaunch.INSTANCE.load();
    } else {
      var e =
          assertThrows(BackendUnavailableException.class, () -> CudaEarlyLaunch.INSTANCE.load());
      assertEquals(
          "this build has no CUDA kernels (early_launch.so is missing): build it where nvcc is on the PATH",
          e.getMessage());
    }
  }

  /** Blocks share a multiprocessor's 228 KiB, of which each takes 1 KiB unasked. */
  @ParameterizedTest
  @CsvSource({
    "1, 0",
    "32, 0",
    "33, 231424",
    "132, 231424",
    "133, 114688",
    "512, 56320",
    "2112, 12544",
    "2113, 0"
  })
  void smallBlocksSpread(long blocks, int bytes) {
    assertEquals(bytes, CudaContext.spreading(blocks, 132));
  }
}
