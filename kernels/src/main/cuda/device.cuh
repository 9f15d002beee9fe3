// What several operations share on the device: sums of fixed order, activations, the packed order of weights.
// Holds no entry point. Dimensions are named as in the package quamba.kernels.
//
// Two rules bind every file beside this one:
//   - a sum is taken in one order, whatever the batch, the row or the cut of its tokens, so results repeat bit for bit;
//   - __restrict__ stands only on pointers that no caller passes twice: out may be x wherever Backend says so.
//
// Entry points are named operation_dtypes, dtypes in the order weight (linear) or table (embed), input, dt where that
// may differ from the input, state, output. A stride is the number of elements from one row to the next; a pointer
// without one is dense.
#pragma once

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

// Packed matrices (out, in) lie as (ceil(out / PANEL), ceil(in / group), PANEL, group), filled up with zeros; a group is
// GROUP_BYTES of neighbouring inputs, 4 of f32 or 16 codes: a block reads consecutive bytes, a thread 16 of them. Both
// numbers also stand in CudaPacking.
constexpr int PANEL = 64;
constexpr int GROUP_BYTES = 16;

// Where element (o, i) of a packed matrix of T lies.
template <typename T>
__device__ size_t packed_at(int o, int i, int in) {
  constexpr int GROUP = GROUP_BYTES / sizeof(T);
  const size_t groups = (in + GROUP - 1) / GROUP;
  return ((o / PANEL * groups + i / GROUP) * PANEL + o % PANEL) * GROUP + i % GROUP;
}

// Sum over the lanes of a warp, the same bits in each: lanes 16 apart first, neighbours last.
inline __device__ float warp_sum(float value) {
#pragma unroll
  for (int apart = WARP / 2; apart > 0; apart /= 2) value += __shfl_xor_sync(ALL_LANES, value, apart);
  return value;
}

// The greatest of a warp's lanes, in each; numbers, if there are NaN too.
inline __device__ float warp_most(float value) {
#pragma unroll
  for (int apart = WARP / 2; apart > 0; apart /= 2) value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, apart));
  return value;
}

// A barrier of the first THREADS threads of a block, which may have more.
template <int THREADS>
__device__ void sync_first() {
  asm volatile("bar.sync 1, %0;" ::"n"(THREADS) : "memory");
}

// Sum over the first THREADS threads of a block, the same bits in each: warps first to last. All of them must call it.
template <int THREADS>
__device__ float block_sum(float value) {
  __shared__ float warps_sh[THREADS / WARP];
  value = warp_sum(value);
  sync_first<THREADS>();  // an earlier call's readers are done
  if (threadIdx.x % WARP == 0) warps_sh[threadIdx.x / WARP] = value;
  sync_first<THREADS>();
  float sum = 0;
#pragma unroll
  for (int warp = 0; warp < THREADS / WARP; warp++) sum += warps_sh[warp];
  return sum;
}

// Kernels that begin early (CudaKernel.beginsEarly) run while the one before them in the stream ends. What any kernel
// before may write they read only behind await_before(), and write only there; all threads that work call it. Constants
// of the model were there before the step began, and so were slots and positions: copies wait for all kernels before.
// scan_decode reads its state sooner too, as it begins early only behind kernels that call begin_next() behind
// await_before() and write no such state: what came before those is done.
inline __device__ void await_before() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel begin, if it does so early, once all blocks call this and where there is room.
inline __device__ void begin_next() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// a & b | c, in one instruction, of which the compiler may make two.
inline __device__ unsigned and_or(unsigned a, unsigned b, unsigned c) {
  unsigned result;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
}

// 2^x and 1 / x within two units in the last place.
inline __device__ float exp2_near(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
inline __device__ float inverse_near(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// x / (1 + e^-x); 0 for very negative x, where e^-x is infinite.
inline __device__ float silu(float x) {
  constexpr float LOG2_E = 1.44269504f;
  return x * inverse_near(1 + exp2_near(-LOG2_E * x));
}

// log(1 + e^x), which neither overflows nor loses small results.
inline __device__ float softplus(float x) { return fmaxf(x, 0) + log1pf(expf(-fabsf(x))); }
