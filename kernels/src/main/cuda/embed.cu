// embed: out[i] = table[ids[i]]
//
//   ids    (n)            i32, each in 0 ... entries - 1
//   table  (entries, dim) f32, plain, or packed as device.cuh says so that a tied head is held once
//   out    (n, dim)       f32
//
// Entry points, at the end: embed_f32_f32, embed_packed_f32_f32. A block an id: memory is the only limit.
#include "device.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS)
embed_f32_f32(const int* ids, const float* table, int table_stride, float* out, int out_stride, int dim) {
  const float* entry = table + static_cast<size_t>(ids[blockIdx.x]) * table_stride;
  float* to = out + static_cast<size_t>(blockIdx.x) * out_stride;
  for (int i = threadIdx.x; i < dim; i += THREADS) to[i] = entry[i];
}

extern "C" __global__ void __launch_bounds__(THREADS)
embed_packed_f32_f32(const int* ids, const float* table, float* out, int out_stride, int dim) {
  const int id = ids[blockIdx.x];
  float* to = out + static_cast<size_t>(blockIdx.x) * out_stride;
  for (int i = threadIdx.x; i < dim; i += THREADS) to[i] = table[packed_at(id, i, dim)];
}
