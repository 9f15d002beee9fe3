package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuMemAllocHost;
import static jcuda.driver.JCudaDriver.cuMemFreeHost;
import static jcuda.driver.JCudaDriver.cuMemHostGetDevicePointer;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;

/** Memory of the host that stays where it is, so that a device can copy from it and to it. */
final class CudaPinned implements AutoCloseable {
  private final Pointer pointer = new Pointer();
  private final CudaAddress address = new CudaAddress();
  private final ByteBuffer memory;

  /**
   * Takes {@code bytes}, with the context current.
   *
   * @throws quamba.kernels.BackendUnavailableException if there is no such memory
   */
  CudaPinned(long bytes) {
    CudaFaults.checkOpening(cuMemAllocHost(pointer, bytes), "cuMemAllocHost");
    memory = pointer.getByteBuffer(0, bytes);
    int result = cuMemHostGetDevicePointer(address, pointer, 0);
    CudaFaults.checkOpening(result, "cuMemHostGetDevicePointer");
  }

  int bytes() {
    return memory.capacity();
  }

  /** A part of it, little-endian. */
  ByteBuffer part(int at, int bytes) {
    return memory.slice(at, bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** As the host sees it. */
  Pointer pointer(int at) {
    return pointer.withByteOffset(at);
  }

  /** As the device sees it. */
  CudaAddress address(int at) {
    return address.plus(at);
  }

  /** Frees it. Results are not looked at, as {@link CudaContext#close} says. */
  @Override
  public void close() {
    cuMemFreeHost(pointer);
  }
}
