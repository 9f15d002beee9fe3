// cuLaunchKernelEx for quamba.kernels.cuda.CudaEarlyLaunch, as JCuda has it not: a launch that may begin while the
// kernel before it in the stream ends. The driver is found when it is first called, so this loads without one.
#include <cuda.h>
#include <dlfcn.h>
#include <jni.h>

namespace {

constexpr int MOST_ARGUMENTS = 64;

using Launch = CUresult (*)(const CUlaunchConfig*, CUfunction, void**, void**);

Launch find() {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY);
  return driver == nullptr ? nullptr : reinterpret_cast<Launch>(dlsym(driver, "cuLaunchKernelEx"));
}

}  // namespace

// arguments: a direct buffer of 8 bytes an argument. Returns what the driver returns.
extern "C" JNIEXPORT jint JNICALL Java_quamba_kernels_cuda_CudaEarlyLaunch_launch(
    JNIEnv* env, jclass, jlong function, jint x, jint y, jint z, jint threads, jint shared_bytes, jlong stream,
    jobject arguments, jint count) {
  static const Launch launch = find();
  if (launch == nullptr) return CUDA_ERROR_NOT_FOUND;
  if (count < 0 || count > MOST_ARGUMENTS) return CUDA_ERROR_INVALID_VALUE;
  void* pointers[MOST_ARGUMENTS];
  char* const first = static_cast<char*>(env->GetDirectBufferAddress(arguments));
  for (int i = 0; i < count; i++) pointers[i] = first + i * sizeof(jlong);

  CUlaunchAttribute early = {};
  early.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  early.value.programmaticStreamSerializationAllowed = 1;
  CUlaunchConfig config = {};
  config.gridDimX = x;
  config.gridDimY = y;
  config.gridDimZ = z;
  config.blockDimX = threads;
  config.blockDimY = 1;
  config.blockDimZ = 1;
  config.sharedMemBytes = shared_bytes;
  config.hStream = reinterpret_cast<CUstream>(stream);
  config.attrs = &early;
  config.numAttrs = 1;
  return launch(&config, reinterpret_cast<CUfunction>(function), pointers, nullptr);
}
