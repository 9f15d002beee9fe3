package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuCtxCreate;
import static jcuda.driver.JCudaDriver.cuCtxDestroy;
import static jcuda.driver.JCudaDriver.cuCtxSetCurrent;
import static jcuda.driver.JCudaDriver.cuDeviceGet;
import static jcuda.driver.JCudaDriver.cuDeviceGetAttribute;
import static jcuda.driver.JCudaDriver.cuDeviceGetCount;
import static jcuda.driver.JCudaDriver.cuInit;
import static jcuda.driver.JCudaDriver.cuStreamCreate;
import static jcuda.driver.JCudaDriver.cuStreamDestroy;
import static jcuda.driver.JCudaDriver.cuStreamSynchronize;

import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream_flags;
import quamba.kernels.BackendUnavailableException;

/**
 * A context of its own on one device, so that a fault in another backend's context leaves it alone,
 * and the one stream in it.
 */
final class CudaContext implements AutoCloseable {
  /**
   * Dynamic shared memory of a block at most, beside 1 KiB of other, where there are warpgroups.
   */
  static final int MOST_SHARED = 226 << 10;

  /**
   * What a multiprocessor has there for its blocks, each of which takes 1 KiB more than it asks
   * for.
   */
  private static final int MULTIPROCESSOR_SHARED = 228 << 10;

  private static final int BLOCK_SHARED = 1 << 10;

  private final CUcontext context = new CUcontext();
  private final CudaEarlyLaunch.Stream stream = new CudaEarlyLaunch.Stream();
  private final int multiprocessors;
  private final boolean warpgroups;
  private boolean closed;

  private CudaContext(CUdevice device) {
    multiprocessors =
        attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    int major = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    int minor = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    warpgroups = major == 9 && minor == 0; // machine code for sm_90a runs on no other
  }

  /**
   * Opens a context on the device with this number.
   *
   * @throws BackendUnavailableException if there is no such device, or no driver
   */
  static CudaContext open(int deviceOrdinal) {
    try {
      CudaFaults.checkOpening(cuInit(0), "cuInit");
    } catch (LinkageError e) { // the first use of JCuda loads its native part and the driver
      throw CudaFaults.unavailable(e);
    }
    int[] count = new int[1];
    CudaFaults.checkOpening(cuDeviceGetCount(count), "cuDeviceGetCount");
    if (deviceOrdinal < 0 || deviceOrdinal >= count[0]) {
      throw new BackendUnavailableException(
          "no CUDA device %d: this machine shows %d".formatted(deviceOrdinal, count[0]));
    }
    CUdevice device = new CUdevice();
    CudaFaults.checkOpening(cuDeviceGet(device, deviceOrdinal), "cuDeviceGet");
    CudaContext opened = new CudaContext(device);
    CudaFaults.checkOpening(cuCtxCreate(opened.context, 0, device), "cuCtxCreate");
    int result = cuStreamCreate(opened.stream, CUstream_flags.CU_STREAM_NON_BLOCKING);
    if (result != CUresult.CUDA_SUCCESS) {
      cuCtxDestroy(opened.context);
    }
    CudaFaults.checkOpening(result, "cuStreamCreate");
    return opened;
  }

  private static int attribute(CUdevice device, int attribute) {
    int[] value = new int[1];
    CudaFaults.checkOpening(cuDeviceGetAttribute(value, attribute, device), "cuDeviceGetAttribute");
    return value[0];
  }

  /** How many blocks can run, one each. */
  int multiprocessors() {
    return multiprocessors;
  }

  /**
   * As much shared memory for each of so many small blocks, with 1 KiB of their own, that no
   * multiprocessor takes more than an equal share of them; none if they are few or very many.
   */
  int spreading(long blocks) {
    return spreading(blocks, multiprocessors);
  }

  static int spreading(long blocks, int multiprocessors) {
    long each = (blocks + multiprocessors - 1) / multiprocessors;
    if (blocks * 4 < multiprocessors || each > 16) {
      return 0;
    }
    return Math.min(MOST_SHARED, MULTIPROCESSOR_SHARED / (int) each - 2 * BLOCK_SHARED);
  }

  /** Whether kernels have what {@code matrix.cuh} calls WARPGROUPS. */
  boolean hasWarpgroups() {
    return warpgroups;
  }

  /** The stream that orders all work. */
  CudaEarlyLaunch.Stream stream() {
    return stream;
  }

  /**
   * Makes this the calling thread's context, as every call of the driver needs it.
   *
   * @throws IllegalStateException if it was closed
   */
  void enter() {
    if (closed) {
      throw new IllegalStateException("the CUDA backend is closed");
    }
    CudaFaults.check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
  }

  /** Makes this the calling thread's context if it can; false if it was closed already. */
  boolean enterToClose() {
    if (!closed) {
      cuCtxSetCurrent(context);
    }
    return !closed;
  }

  /** Waits for all work. */
  void synchronize() {
    CudaFaults.check(cuStreamSynchronize(stream), "waiting for the device");
  }

  /**
   * Destroys stream and context, with whatever is left in it. Results are not looked at: after a
   * fault they all repeat it, and nothing is left to be done.
   */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      cuStreamDestroy(stream);
      cuCtxDestroy(context);
    }
  }
}
