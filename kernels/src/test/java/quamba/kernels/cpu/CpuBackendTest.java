package quamba.kernels.cpu;

import quamba.kernels.Backend;
import quamba.kernels.BackendContract;
import quamba.kernels.CodesContract;
import quamba.kernels.GateRotateContract;
import quamba.kernels.LinearsConvContract;
import quamba.kernels.RoundingContract;
import quamba.kernels.StateContract;

/** The contract on three threads, so that parts of any cut meet. */
final class CpuBackendTest extends BackendContract
    implements CodesContract,
        GateRotateContract,
        LinearsConvContract,
        RoundingContract,
        StateContract {
  @Override
  protected Backend open() {
    return CpuBackend.open(3);
  }
}
