package quamba.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import jcuda.driver.CUfunction;
import jcuda.driver.CUstream;
import quamba.kernels.BackendUnavailableException;

/**
 * Launches of kernels that may begin while the one before them ends (programmatic dependent launch
 * in the CUDA programming guide): {@code cuLaunchKernelEx}, which JCuda 12.6 does not have, by
 * {@code early_launch.cpp}. Captured ones become edges of the graph that say the same.
 */
final class CudaEarlyLaunch {
  static final CudaEarlyLaunch INSTANCE = new CudaEarlyLaunch();

  private static final String RESOURCE = "early_launch.so";

  private boolean loaded;

  private CudaEarlyLaunch() {}

  /** A function that tells where the driver has it. */
  static final class Function extends CUfunction {
    private long address() {
      return getNativePointer();
    }
  }

  /** A stream that tells where the driver has it. */
  static final class Stream extends CUstream {
    private long address() {
      return getNativePointer();
    }
  }

  /**
   * Loads the native part, once; before the first launch.
   *
   * @throws BackendUnavailableException if this build has none, or it does not load
   */
  synchronized void load() {
    if (loaded) {
      return;
    }
    try (InputStream packed = CudaEarlyLaunch.class.getResourceAsStream(RESOURCE)) {
      if (packed == null) {
        throw CudaModules.missing(RESOURCE);
      }
      Path file = Files.createTempFile("quamba-launch-", ".library");
      try {
        Files.copy(packed, file, StandardCopyOption.REPLACE_EXISTING);
        System.load(file.toAbsolutePath().toString());
      } finally {
        Files.delete(file);
      }
    } catch (IOException | UnsatisfiedLinkError e) {
      throw new BackendUnavailableException(
          "no CUDA device: %s does not load; it needs a temporary folder (-Djava.io.tmpdir) that is not mounted noexec: %s"
              .formatted(RESOURCE, e.getMessage()),
          e);
    }
    loaded = true;
  }

  /**
   * Launches a kernel that waits by itself for what it depends on: x * y * z blocks.
   *
   * @param arguments a direct buffer, 8 bytes each
   * @return the driver's result
   */
  int launch(
      Function function,
      int x,
      int y,
      int z,
      int threads,
      int sharedBytes,
      Stream stream,
      ByteBuffer arguments,
      int count) {
    return launch(
        function.address(), x, y, z, threads, sharedBytes, stream.address(), arguments, count);
  }

  private static native int launch(
      long function,
      int x,
      int y,
      int z,
      int threads,
      int sharedBytes,
      long stream,
      ByteBuffer arguments,
      int count);
}
