package quamba.kernels.cpu;

import java.nio.ByteBuffer;
import quamba.kernels.Readback;

/** A copy that is made at once, as operations are done when they return. */
final class CpuReadback implements Readback {
  private final CpuTensor source;
  private final ByteBuffer copy;

  CpuReadback(CpuTensor source) {
    this.source = source;
    long bytes = source.shape().elements() * source.dtype().bytes();
    copy = ByteBuffer.allocateDirect(Math.toIntExact(bytes));
  }

  @Override
  public void begin() {
    source.read(copy);
  }

  @Override
  public boolean isDone() {
    return true;
  }

  @Override
  public void await(ByteBuffer target) {
    target.put(target.position(), copy, 0, target.remaining());
  }
}
