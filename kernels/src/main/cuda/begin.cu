// begin: the beginning of a pass. ids[i] below 0 becomes chosen[-1 - ids[i]]; residual[i] = 0
//
//   ids         (n)      i32
//   chosen      (most)   i32, what an earlier pass chose
//   residual    (n, dim) f32
//
// Entry point: begin_f32. Grid (n, any number of blocks that share a row's columns): memory is the only limit.
#include "device.cuh"

constexpr int THREADS = 128;

extern "C" __global__ void __launch_bounds__(THREADS)
begin_f32(int* ids, const int* chosen, float* residual, int residual_stride, int dim) {
  begin_next();
  if (blockIdx.y == 0 && threadIdx.x == 0) {
    const int id = ids[blockIdx.x];
    if (id < 0) ids[blockIdx.x] = chosen[-1 - id];
  }
  float* row = residual + static_cast<size_t>(blockIdx.x) * residual_stride;
  for (int i = blockIdx.y * THREADS + threadIdx.x; i < dim; i += gridDim.y * THREADS) row[i] = 0;
}
