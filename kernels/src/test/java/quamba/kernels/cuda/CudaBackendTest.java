package quamba.kernels.cuda;

import quamba.kernels.Backend;
import quamba.kernels.BackendContract;

/** The contract on the first device. */
@NeedsCuda
final class CudaBackendTest extends BackendContract {
  @Override
  protected Backend open() {
    return CudaBackend.open(0);
  }
}
