package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import jcuda.driver.CUresult;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.BackendUnavailableException;
import quamba.kernels.DeviceFaultException;

/** Which result code asks for which remedy. */
final class CudaFaultsTest {
  @Test
  void successIsNoFault() {
    assertDoesNotThrow(() -> CudaFaults.check(CUresult.CUDA_SUCCESS, "a call"));
    assertDoesNotThrow(() -> CudaFaults.checkOpening(CUresult.CUDA_SUCCESS, "a call"));
  }

  @ParameterizedTest
  @ValueSource(
      ints = {
        CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,
        CUresult.CUDA_ERROR_MISALIGNED_ADDRESS,
        CUresult.CUDA_ERROR_LAUNCH_FAILED,
        CUresult.CUDA_ERROR_ECC_UNCORRECTABLE,
        CUresult.CUDA_ERROR_UNKNOWN,
        12_345 // a code of a later driver
      })
  void aBrokenDeviceIsADeviceFault(int result) {
    assertThrows(DeviceFaultException.class, () -> CudaFaults.check(result, "a call"));
  }

  @Test
  void aWrongCallIsADefectOfTheProgram() {
    IllegalStateException e =
        assertThrows(
            IllegalStateException.class,
            () -> CudaFaults.check(CUresult.CUDA_ERROR_INVALID_VALUE, "a call"));
    assertEquals("a call: CUDA_ERROR_INVALID_VALUE", e.getMessage());
  }

  @Test
  void whateverFailsWhileOpeningMakesTheBackendUnavailable() {
    BackendUnavailableException e =
        assertThrows(
            BackendUnavailableException.class,
            () -> CudaFaults.checkOpening(CUresult.CUDA_ERROR_NO_DEVICE, "cuInit"));
    assertEquals("no CUDA device: cuInit: CUDA_ERROR_NO_DEVICE", e.getMessage());
  }

  @Test
  void aMissingDriverKeepsItsCauseAndTellsTheLastAttempt() {
    String message =
        """
        Error while loading native library
        java.lang.UnsatisfiedLinkError: no JCudaDriver in java.library.path
        java.lang.UnsatisfiedLinkError: libcuda.so.1: cannot open shared object file
        ---(end of nested stack traces)---""";
    LinkageError error = new NoClassDefFoundError("Could not initialize class");
    error.initCause(new UnsatisfiedLinkError(message));
    BackendUnavailableException e = CudaFaults.unavailable(error);
    assertEquals("no CUDA device: libcuda.so.1: cannot open shared object file", e.getMessage());
    assertSame(error, e.getCause());
  }
}
