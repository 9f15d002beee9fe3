package quamba.kernels.cuda;

import org.junit.jupiter.api.TestInstance;

/** The contracts with the kernels of the preview. */
@NeedsCuda
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CudaPreviewTest extends CudaBackendTest {
  @Override
  boolean preview() {
    return true;
  }
}
