package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.TestInstance;
import quamba.kernels.Backend;
import quamba.kernels.BackendContract;
import quamba.kernels.CodesContract;
import quamba.kernels.DType;
import quamba.kernels.GateRotateContract;
import quamba.kernels.LayersContract;
import quamba.kernels.LinearsConvContract;
import quamba.kernels.Recording;
import quamba.kernels.RoundingContract;
import quamba.kernels.StateContract;
import quamba.kernels.Tensor;

/** The contracts on the first device, all on one backend: a device takes long to open. */
@NeedsCuda
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class CudaBackendTest extends BackendContract
    implements CodesContract,
        GateRotateContract,
        LayersContract,
        LinearsConvContract,
        RoundingContract,
        StateContract {
  private final CudaShared shared = new CudaShared(preview());

  /** Whether {@link CudaBackend#PREVIEW} counts as true. */
  boolean preview() {
    return false;
  }

  @Override
  protected Backend open() {
    return shared.backend();
  }

  @Override
  protected void close(Backend backend) {} // after all

  /** One launch in the preview, on devices that have the kernel. */
  @Override
  public void recorded(Recording recording, boolean fuses) {
    Tensor packed =
        shared.backend().pack(CodesContract.Matrix.fourBit(1, 16, 128).weight(), DType.I8);
    boolean warpgroups = packed instanceof CudaCodes;
    assertEquals(preview() && fuses && warpgroups, ((CudaGraph) recording).launches() == 1);
  }

  @AfterAll
  void closeShared() {
    shared.close();
  }
}
