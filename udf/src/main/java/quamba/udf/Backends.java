package quamba.udf;

import quamba.kernels.Backend;
import quamba.kernels.BackendUnavailableException;
import quamba.kernels.CheckedBackend;
import quamba.kernels.cpu.CpuBackend;

/** Opens backends by the name of their device; the only code that knows them. */
public final class Backends {
  private Backends() {}

  /**
   * A backend whose calls are checked.
   *
   * @param device {@code cpu} or {@code cuda}
   * @param threads that compute, where the device is the processor
   * @throws IllegalArgumentException for another device
   * @throws BackendUnavailableException if this machine cannot offer the device
   */
  public static Backend open(String device, int threads) {
    return switch (device) {
      case "cpu" -> new CheckedBackend(CpuBackend.open(threads));
      case "cuda" ->
          throw new BackendUnavailableException("device cuda: this build has no CUDA backend");
      default -> throw new IllegalArgumentException("device must be cpu or cuda, found " + device);
    };
  }
}
