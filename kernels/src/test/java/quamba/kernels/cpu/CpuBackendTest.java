package quamba.kernels.cpu;

import quamba.kernels.Backend;
import quamba.kernels.BackendContract;

/** The contract on three threads, so that parts of any cut meet. */
final class CpuBackendTest extends BackendContract {
  @Override
  protected Backend open() {
    return CpuBackend.open(3);
  }
}
