package quamba.kernels.cuda;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jcuda.driver.CUresult;
import quamba.kernels.BackendUnavailableException;
import quamba.kernels.DeviceFaultException;

/** Turns the driver's result codes and what loading it throws into exceptions named by remedy. */
final class CudaFaults {
  private static final Pattern ATTEMPT =
      Pattern.compile("^java\\.lang\\.UnsatisfiedLinkError: (.*)$", Pattern.MULTILINE);

  private CudaFaults() {}

  /**
   * Checks a call of a backend that runs.
   *
   * @param what was called, for the message
   * @throws DeviceFaultException if the device or the context is broken
   * @throws IllegalStateException if the call was wrong, which a correct program never sees
   */
  static void check(int result, String what) {
    if (result == CUresult.CUDA_SUCCESS) {
      return;
    }
    String message = describe(result, what);
    switch (result) {
      case CUresult.CUDA_ERROR_INVALID_VALUE,
          CUresult.CUDA_ERROR_INVALID_CONTEXT,
          CUresult.CUDA_ERROR_INVALID_HANDLE,
          CUresult.CUDA_ERROR_ILLEGAL_STATE,
          CUresult.CUDA_ERROR_NOT_FOUND,
          CUresult.CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
          CUresult.CUDA_ERROR_NOT_SUPPORTED ->
          throw new IllegalStateException(message);
      default -> throw new DeviceFaultException(message);
    }
  }

  /**
   * Checks a call that opens a backend.
   *
   * @param what was called, for the message
   * @throws BackendUnavailableException if it failed
   */
  static void checkOpening(int result, String what) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw new BackendUnavailableException("no CUDA device: " + describe(result, what));
    }
  }

  /** JCuda's native part, or the driver below it, could not be loaded; asked again, the same. */
  static BackendUnavailableException unavailable(LinkageError error) {
    Throwable root = error;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    // JCuda's message is a page; the loader's own words on the last attempt stand in it.
    Matcher attempts = ATTEMPT.matcher(String.valueOf(root.getMessage()));
    String reason = "JCuda's native part does not load";
    while (attempts.find()) {
      reason = attempts.group(1);
    }
    return new BackendUnavailableException("no CUDA device: " + reason, error);
  }

  private static String describe(int result, String what) {
    return what + ": " + CUresult.stringFor(result);
  }
}
