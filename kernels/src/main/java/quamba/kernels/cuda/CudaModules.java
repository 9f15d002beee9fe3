package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuFuncSetAttribute;
import static jcuda.driver.JCudaDriver.cuModuleGetFunction;
import static jcuda.driver.JCudaDriver.cuModuleLoadData;
import static jcuda.driver.JCudaDriver.cuModuleUnload;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import quamba.kernels.BackendUnavailableException;

/** The fatbins of this build, loaded into a context, and the entry points in them. */
final class CudaModules implements AutoCloseable {
  private static final int ALL_SHARED = 100; // percent

  private final Map<String, CUmodule> modules = new HashMap<>();
  private final Map<CudaKernel, CudaEarlyLaunch.Function> functions =
      new EnumMap<>(CudaKernel.class);

  /**
   * Loads every entry point into the calling thread's context.
   *
   * @param warpgroups whether to allow kernels the dynamic shared memory that they have with them,
   *     and to let them begin early
   * @throws BackendUnavailableException if the build has no fatbins, or none for this device
   */
  CudaModules(boolean warpgroups) {
    if (warpgroups) {
      CudaEarlyLaunch.INSTANCE.load();
    }
    for (CudaKernel kernel : CudaKernel.values()) {
      CUmodule module = modules.computeIfAbsent(kernel.file(), CudaModules::load);
      CudaEarlyLaunch.Function function = new CudaEarlyLaunch.Function();
      CudaFaults.checkOpening(
          cuModuleGetFunction(function, module, kernel.entry()), "entry point " + kernel.entry());
      int sharedBytes = kernel.spreads() ? CudaContext.MOST_SHARED : kernel.sharedBytes();
      if (warpgroups && sharedBytes > 0) {
        allowShared(function, sharedBytes, "shared memory of " + kernel.entry());
      }
      functions.put(kernel, function);
    }
  }

  /**
   * Kernels have 48 KiB at most unless they are allowed more, and of what a multiprocessor could
   * give to as many blocks as fit not all unless they prefer that to a cache.
   */
  private static void allowShared(CUfunction function, int bytes, String what) {
    int most = CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    int share = CUfunction_attribute.CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
    CudaFaults.checkOpening(cuFuncSetAttribute(function, most, bytes), what);
    CudaFaults.checkOpening(cuFuncSetAttribute(function, share, ALL_SHARED), what);
  }

  private static CUmodule load(String name) {
    String resource = name + ".fatbin";
    try (InputStream stream = CudaModules.class.getResourceAsStream(resource)) {
      if (stream == null) {
        throw missing(resource);
      }
      CUmodule module = new CUmodule();
      CudaFaults.checkOpening(cuModuleLoadData(module, stream.readAllBytes()), resource);
      return module;
    } catch (IOException e) {
      throw new UncheckedIOException(resource, e);
    }
  }

  /** This build has not what nvcc makes. */
  static BackendUnavailableException missing(String resource) {
    return new BackendUnavailableException(
        "this build has no CUDA kernels (%s is missing): build it where nvcc is on the PATH"
            .formatted(resource));
  }

  /** A kernel's handle. */
  CudaEarlyLaunch.Function function(CudaKernel kernel) {
    return functions.get(kernel);
  }

  /** Unloads all. Results are not looked at, as {@link CudaContext#close} says. */
  @Override
  public void close() {
    modules.values().forEach(module -> cuModuleUnload(module));
    modules.clear();
  }
}
