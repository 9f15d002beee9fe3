package quamba.kernels.cuda;

import java.util.ArrayList;
import java.util.List;

/** A backend on the first device for all tests of a class, opened when the first of them runs. */
final class CudaShared implements AutoCloseable {
  private final List<CudaBackend> opened = new ArrayList<>(); // one, or none yet
  private final boolean preview;

  /**
   * One that is not open yet.
   *
   * @param preview whether {@link CudaBackend#PREVIEW} counts as true
   */
  CudaShared(boolean preview) {
    this.preview = preview;
  }

  CudaBackend backend() {
    if (opened.isEmpty()) {
      opened.add(CudaBackend.open(0, preview));
    }
    return opened.get(0);
  }

  @Override
  public void close() {
    opened.forEach(CudaBackend::close);
  }
}
