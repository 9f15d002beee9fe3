package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuMemcpyDtoHAsync;
import static jcuda.driver.JCudaDriver.cuMemcpyHtoDAsync;

import quamba.kernels.DType;

/**
 * Copies between pinned memory and the device, in stream order. Small ones are a kernel's: kernels
 * before and behind would wait longer for the copy engine.
 */
final class CudaCopies {
  private static final int SMALL = 32 << 10; // bytes

  private final CudaContext context;
  private final CudaLaunch launch;

  CudaCopies(CudaContext context, CudaLaunch launch) {
    this.context = context;
    this.launch = launch;
  }

  /** Copies {@code bytes} of {@code source}, from {@code at} on. */
  void toDevice(CudaAddress target, CudaPinned source, int at, int bytes) {
    CudaAddress from = source.address(at);
    if (isSmall(target, from, bytes)) {
      copy(target, from, bytes);
    } else {
      CudaFaults.check(
          cuMemcpyHtoDAsync(target, source.pointer(at), bytes, context.stream()),
          "copy to the device");
    }
  }

  /** Copies {@code bytes} to {@code target}, from {@code at} on. */
  void toHost(CudaPinned target, int at, CudaAddress source, int bytes) {
    CudaAddress to = target.address(at);
    if (isSmall(to, source, bytes)) {
      copy(to, source, bytes);
    } else {
      CudaFaults.check(
          cuMemcpyDtoHAsync(target.pointer(at), source, bytes, context.stream()),
          "copy from the device");
    }
  }

  private static boolean isSmall(CudaAddress target, CudaAddress source, int bytes) {
    long places = target.value() | source.value() | bytes;
    return bytes > 0 && bytes <= SMALL && places % Integer.BYTES == 0;
  }

  private void copy(CudaAddress target, CudaAddress source, int bytes) {
    int count = bytes / Integer.BYTES;
    launch
        .of(CudaKernel.COPY_I32)
        .at(source, DType.I32)
        .at(target, DType.I32)
        .number(count)
        .over(CudaLaunch.pieces(count, CudaKernel.COPY_I32.threads()), 1, 1);
  }
}
