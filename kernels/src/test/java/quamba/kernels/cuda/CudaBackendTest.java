package quamba.kernels.cuda;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.TestInstance;
import quamba.kernels.Backend;
import quamba.kernels.BackendContract;
import quamba.kernels.CodesContract;
import quamba.kernels.GateRotateContract;
import quamba.kernels.LinearsConvContract;
import quamba.kernels.RoundingContract;
import quamba.kernels.StateContract;

/** The contracts on the first device, all on one backend: a device takes long to open. */
@NeedsCuda
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CudaBackendTest extends BackendContract
    implements CodesContract,
        GateRotateContract,
        LinearsConvContract,
        RoundingContract,
        StateContract {
  private final CudaShared shared = new CudaShared();

  @Override
  protected Backend open() {
    return shared.backend();
  }

  @Override
  protected void close(Backend backend) {} // after all

  @AfterAll
  void closeShared() {
    shared.close();
  }
}
