package quamba.udf;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import quamba.kernels.Backend;
import quamba.kernels.BackendUnavailableException;
import quamba.kernels.CheckedBackend;
import quamba.kernels.KnownAnswers;
import quamba.kernels.cpu.CpuBackend;
import quamba.kernels.cuda.CudaBackend;

/** Opens backends by the name of their device; the only code that knows them. */
public final class Backends {
  /** What {@code cuda} alone means. */
  static final String FIRST_GPU = "cuda:0";

  private static final Pattern CUDA = Pattern.compile("cuda(?::(\\d{1,4}))?");

  private Backends() {}

  /**
   * A backend whose calls are checked, and on a GPU one that has given {@link KnownAnswers}.
   *
   * @param device {@code cpu}, {@code cuda:N} for the device that Spark calls N, or {@code cuda}
   *     for the first
   * @param threads that compute, where the device is the processor
   * @throws IllegalArgumentException for another device
   * @throws BackendUnavailableException naming the device, if this machine cannot offer it
   */
  public static Backend open(String device, int threads) {
    if (device.equals("cpu")) {
      return new CheckedBackend(CpuBackend.open(threads));
    }
    Matcher cuda = CUDA.matcher(device);
    if (!cuda.matches()) {
      throw new IllegalArgumentException("device must be cpu, cuda or cuda:N, found " + device);
    }
    int ordinal = cuda.group(1) == null ? 0 : Integer.parseInt(cuda.group(1));
    try {
      return known(new CheckedBackend(CudaBackend.open(ordinal)));
    } catch (BackendUnavailableException e) {
      throw new BackendUnavailableException(device + ": " + e.getMessage(), e);
    }
  }

  /**
   * The same, if it computes what it should; otherwise it is closed.
   *
   * @throws BackendUnavailableException naming what it computes wrong
   */
  static Backend known(Backend backend) {
    try {
      KnownAnswers.check(backend);
      return backend;
    } catch (RuntimeException | Error e) {
      backend.close();
      throw e;
    }
  }

  /**
   * Tries a device of this machine, so that a job can say at once that there is none.
   *
   * @throws IllegalArgumentException saying why it cannot be had
   */
  public static void require(String device) {
    try {
      open(device, 1).close();
    } catch (BackendUnavailableException e) {
      throw new IllegalArgumentException("--device " + e.getMessage(), e);
    }
  }
}
