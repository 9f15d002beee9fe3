package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuEventCreate;
import static jcuda.driver.JCudaDriver.cuEventDestroy;
import static jcuda.driver.JCudaDriver.cuEventQuery;
import static jcuda.driver.JCudaDriver.cuEventRecord;
import static jcuda.driver.JCudaDriver.cuEventSynchronize;

import java.nio.ByteBuffer;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUresult;
import quamba.kernels.Readback;

/** Copies into pinned memory of its own, in stream order, with an event behind each. */
final class CudaReadback implements Readback, AutoCloseable {
  private final CudaContext context;
  private final CudaCopies copies;
  private final CudaTensor source;
  private final CudaPinned copy;
  private final CUevent copied = new CUevent();

  /**
   * Takes pinned memory.
   *
   * @param source dense
   */
  CudaReadback(CudaContext context, CudaCopies copies, CudaTensor source) {
    if (!source.isDense()) {
      throw new IllegalArgumentException("readback: expected a tensor, found a view of columns");
    }
    this.context = context;
    this.copies = copies;
    this.source = source;
    context.enter();
    copy = new CudaPinned(source.shape().elements() * source.dtype().bytes());
    CudaFaults.checkOpening(
        cuEventCreate(copied, CUevent_flags.CU_EVENT_DISABLE_TIMING), "cuEventCreate");
  }

  @Override
  public void begin() {
    context.enter();
    copies.toHost(copy, 0, source.address(), copy.bytes());
    CudaFaults.check(cuEventRecord(copied, context.stream()), "cuEventRecord");
  }

  @Override
  public boolean isDone() {
    context.enter();
    int result = cuEventQuery(copied);
    if (result == CUresult.CUDA_ERROR_NOT_READY) {
      return false;
    }
    CudaFaults.check(result, "waiting for the device");
    return true;
  }

  @Override
  public void await(ByteBuffer target) {
    context.enter();
    CudaFaults.check(cuEventSynchronize(copied), "waiting for the device");
    target.duplicate().put(copy.part(0, target.remaining()));
  }

  /** Frees the memory. Results are not looked at, as {@link CudaContext#close} says. */
  @Override
  public void close() {
    cuEventDestroy(copied);
    copy.close();
  }
}
