package quamba.kernels.cuda;

import quamba.kernels.Backend;
import quamba.kernels.BackendContract;
import quamba.kernels.CodesContract;
import quamba.kernels.LinearsConvContract;
import quamba.kernels.RoundingContract;
import quamba.kernels.StateContract;

/** The contracts on the first device. */
@NeedsCuda
final class CudaBackendTest extends BackendContract
    implements CodesContract, LinearsConvContract, RoundingContract, StateContract {
  @Override
  protected Backend open() {
    return CudaBackend.open(0);
  }
}
