package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuMemAlloc;
import static jcuda.driver.JCudaDriver.cuMemFree;
import static jcuda.driver.JCudaDriver.cuMemcpyHtoDAsync;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;

/**
 * What kernels of a recording read beside their arguments. It is added while operations are
 * recorded, and copied to the device at once before the recording runs.
 */
final class CudaRecordingBytes implements AutoCloseable {
  private static final int BYTES = 64 << 10;

  private final CudaContext context;
  private final CudaAddress address = new CudaAddress();
  private final ByteBuffer bytes = ByteBuffer.allocateDirect(BYTES).order(ByteOrder.nativeOrder());

  CudaRecordingBytes(CudaContext context) {
    this.context = context;
    CudaFaults.check(cuMemAlloc(address, BYTES), "cuMemAlloc");
  }

  /** Whether there is room for so many bytes more. */
  boolean hasRoom(long more) {
    return bytes.remaining() >= more;
  }

  /** Where the next bytes will lie. */
  CudaAddress next() {
    return address.plus(bytes.position());
  }

  /** To add to. */
  ByteBuffer bytes() {
    return bytes;
  }

  /** Copies all of it to the device. */
  void upload() {
    int count = bytes.position();
    if (count > 0) {
      CudaFaults.check(
          cuMemcpyHtoDAsync(address, Pointer.to(bytes.duplicate().flip()), count, context.stream()),
          "copy of what a recording reads");
      context.synchronize();
    }
  }

  /** Frees it. Results are not looked at, as {@link CudaContext#close} says. */
  @Override
  public void close() {
    cuMemFree(address);
  }
}
