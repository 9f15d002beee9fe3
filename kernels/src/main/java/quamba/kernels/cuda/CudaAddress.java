package quamba.kernels.cuda;

import jcuda.driver.CUdeviceptr;

/** A device pointer whose number can be read, as kernel arguments need it. */
final class CudaAddress extends CUdeviceptr {
  /** To be filled by an allocation. */
  CudaAddress() {}

  private CudaAddress(CudaAddress base, long offsetBytes) {
    super(base, offsetBytes);
  }

  /** {@code offsetBytes} further. */
  CudaAddress plus(long offsetBytes) {
    return new CudaAddress(this, offsetBytes);
  }

  /** The address as the device sees it. */
  long value() {
    return getNativePointer() + getByteOffset();
  }
}
