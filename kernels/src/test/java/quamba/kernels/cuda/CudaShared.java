package quamba.kernels.cuda;

import java.util.ArrayList;
import java.util.List;

/** A backend on the first device for all tests of a class, opened when the first of them runs. */
final class CudaShared implements AutoCloseable {
  private final List<CudaBackend> opened = new ArrayList<>(); // one, or none yet

  CudaBackend backend() {
    if (opened.isEmpty()) {
      opened.add(CudaBackend.open(0));
    }
    return opened.get(0);
  }

  @Override
  public void close() {
    opened.forEach(CudaBackend::close);
  }
}
