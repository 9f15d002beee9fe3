// gate: out = y * silu(z) (Mamba1), or norm(y * silu(z)) over each of groups equal parts of a row (Mamba2)
//
//   y, z    (n, inner_dim) f32
//   weight  (inner_dim)    f32, of the norm
//   out     (n, inner_dim) f32; may be y
//
// Entry points, at the end: gate_f32_f32, gate_norm_f32_f32.
#include "device.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;

// One group of one row; each thread reads back only what it wrote itself.
inline __device__ void gate_norm_group(const float* y, const float* z, const float* weight, float* out, int width,
                                       float epsilon) {
  float squares = 0;
  for (int i = threadIdx.x; i < width; i += THREADS) {
    const float gated = y[i] * silu(z[i]);
    out[i] = gated;
    squares = fmaf(gated, gated, squares);
  }
  const float scale = 1 / sqrtf(block_sum<THREADS>(squares) / width + epsilon);
  for (int i = threadIdx.x; i < width; i += THREADS) out[i] = out[i] * scale * weight[i];
}

// ---------------------------------------------------------------- entry points

// A thread an element: grid (n, ceil(inner_dim / THREADS)).
extern "C" __global__ void __launch_bounds__(THREADS)
gate_f32_f32(const float* y, int y_stride, const float* z, int z_stride, float* out, int out_stride, int inner_dim) {
  const size_t row = blockIdx.x;
  const int i = blockIdx.y * THREADS + threadIdx.x;
  if (i < inner_dim) out[row * out_stride + i] = y[row * y_stride + i] * silu(z[row * z_stride + i]);
}

// A block a group: grid (n, groups), inner_dim = groups * width.
extern "C" __global__ void __launch_bounds__(THREADS)
gate_norm_f32_f32(const float* y, int y_stride, const float* z, int z_stride, const float* weight, float* out,
                  int out_stride, int width, float epsilon) {
  const size_t row = blockIdx.x;
  const int from = blockIdx.y * width;
  gate_norm_group(y + row * y_stride + from, z + row * z_stride + from, weight + from, out + row * out_stride + from,
                  width, epsilon);
}
