package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuMemAlloc;
import static jcuda.driver.JCudaDriver.cuMemFree;
import static jcuda.driver.JCudaDriver.cuMemGetInfo;
import static jcuda.driver.JCudaDriver.cuMemsetD8Async;

import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUresult;
import quamba.kernels.DeviceMemoryException;

/**
 * A backend's device memory: blocks that are cut up from the front and freed only all at once.
 * Tensors are made while a model is opened and live as long as the backend.
 */
final class CudaArena implements AutoCloseable {
  /** Small tensors share blocks of this size; larger ones than half of it have a block each. */
  private static final long BLOCK_BYTES = 32L << 20;

  /** Of every address: the widest access is 16 bytes, a cache line 128. */
  private static final long ALIGNMENT = 256;

  private final CudaContext context;
  private final List<CudaAddress> blocks = new ArrayList<>();
  private CudaAddress open = new CudaAddress(); // the block that is being cut up
  private long left;

  CudaArena(CudaContext context) {
    this.context = context;
  }

  /**
   * Zeroed memory of this size.
   *
   * @param what it is for, for the message
   * @throws DeviceMemoryException if the device has too little
   */
  CudaAddress allocate(long bytes, String what) {
    context.enter();
    long size = Math.max(1, (bytes + ALIGNMENT - 1) / ALIGNMENT) * ALIGNMENT;
    CudaAddress address;
    if (size > BLOCK_BYTES / 2) {
      address = block(size, what);
    } else {
      if (size > left) {
        open = block(BLOCK_BYTES, what);
        left = BLOCK_BYTES;
      }
      address = open.plus(BLOCK_BYTES - left);
      left -= size;
    }
    CudaFaults.check(cuMemsetD8Async(address, (byte) 0, size, context.stream()), "zeroing memory");
    return address;
  }

  private CudaAddress block(long bytes, String what) {
    CudaAddress block = new CudaAddress();
    int result = cuMemAlloc(block, bytes);
    if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      long[] free = new long[1];
      CudaFaults.check(cuMemGetInfo(free, new long[1]), "cuMemGetInfo");
      throw new DeviceMemoryException(what, bytes, free[0]);
    }
    CudaFaults.check(result, "cuMemAlloc");
    blocks.add(block);
    return block;
  }

  /** Frees all of it. Results are not looked at, as {@link CudaContext#close} says. */
  @Override
  public void close() {
    blocks.forEach(block -> cuMemFree(block));
    blocks.clear();
    left = 0;
  }
}
