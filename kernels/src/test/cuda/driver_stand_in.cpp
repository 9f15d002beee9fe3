// A driver of one device with warpgroups that runs nothing, but says what is launched: by cuLaunchKernel (plain), or by
// cuLaunchKernelEx with programmatic stream serialization (early) or without (extended); then kernel, grid, threads,
// dynamic shared memory, and the second argument as an int. And what is copied to the device by the copy engine.
#include <cuda.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

CUresult say(const char* how, CUfunction kernel, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned shared,
             void** arguments) {
  std::printf("%s %s %u %u %u, %u, %u, %d\n", how, reinterpret_cast<const char*>(kernel), x, y, z, threads, shared,
              *static_cast<int*>(arguments[1]));
  std::fflush(stdout);
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int* count) { return *count = 1, CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int) { return *device = 0, CUDA_SUCCESS; }
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  *value = attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT           ? 132
           : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 9
                                                                           : 0;
  return CUDA_SUCCESS;
}
CUresult cuCtxCreate_v2(CUcontext*, unsigned, CUdevice) { return CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuCtxDestroy_v2(CUcontext) { return CUDA_SUCCESS; }
CUresult cuStreamCreate(CUstream*, unsigned) { return CUDA_SUCCESS; }
CUresult cuStreamDestroy_v2(CUstream) { return CUDA_SUCCESS; }
CUresult cuModuleLoadData(CUmodule*, const void*) { return CUDA_SUCCESS; }
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
  return *function = reinterpret_cast<CUfunction>(strdup(name)), CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }
CUresult cuMemAllocHost_v2(void** memory, size_t bytes) { return *memory = std::malloc(bytes), CUDA_SUCCESS; }
CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* address, void* memory, unsigned) {
  return *address = reinterpret_cast<CUdeviceptr>(memory), CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void* memory) { return std::free(memory), CUDA_SUCCESS; }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr, const void*, size_t bytes, CUstream) {
  std::printf("copied %zu bytes\n", bytes);
  std::fflush(stdout);
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction kernel, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned,
                        unsigned shared, CUstream, void** arguments, void**) {
  return say("plain", kernel, x, y, z, threads, shared, arguments);
}
CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction kernel, void** arguments, void**) {
  const bool early = config->numAttrs == 1 &&
                     config->attrs[0].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION &&
                     config->attrs[0].value.programmaticStreamSerializationAllowed == 1;
  return say(early ? "early" : "extended", kernel, config->gridDimX, config->gridDimY, config->gridDimZ,
             config->blockDimX, config->sharedMemBytes, arguments);
}

}  // extern "C"
