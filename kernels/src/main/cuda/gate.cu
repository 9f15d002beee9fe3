// gate: out = y * silu(z) (Mamba1), or norm(y * silu(z)) over each of groups equal parts of a row (Mamba2)
//
//   y       (n, inner_dim) f32
//   z       (n, inner_dim) f32, or codes with scales
//   weight  (inner_dim)    f32, of the norm
//   out     (n, inner_dim) f32, may be y; or codes with scales, ties to even
//
// Entry points, at the end: gate_f32_f32, gate_f32_i8, gate_i8_f32, gate_i8_i8 and the same of gate_norm: dtypes of z
// and out.
#include "codes.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;

template <typename Z>
__device__ float gated(const float* y, int y_stride, Values<Z> z, size_t row, int i) {
  return y[row * y_stride + i] * silu(z.value(row, i));
}

// A thread an element: grid (n, ceil(inner_dim / THREADS)).
template <typename Z, typename T>
__device__ void gate_element(const float* y, int y_stride, Values<Z> z, Results<T> out, int inner_dim) {
  const int i = blockIdx.y * THREADS + threadIdx.x;
  if (i < inner_dim) out.put_even(blockIdx.x, i, gated(y, y_stride, z, blockIdx.x, i));
}

// A block a group: grid (n, groups), inner_dim = groups * width. Codes leave no room for what is between the two
// passes, so the second computes it again, from what the caches hold. A thread reads only where it writes.
template <typename Z, typename T>
__device__ void gate_norm_group(const float* y, int y_stride, Values<Z> z, const float* weight, Results<T> out,
                                int width, float epsilon) {
  const size_t row = blockIdx.x;
  const int first = blockIdx.y * width + threadIdx.x;
  const int end = (blockIdx.y + 1) * width;
  float squares = 0;
  for (int i = first; i < end; i += THREADS) {
    const float value = gated(y, y_stride, z, row, i);
    squares = fmaf(value, value, squares);
  }
  const float scale = 1 / sqrtf(block_sum<THREADS>(squares) / width + epsilon);
  for (int i = first; i < end; i += THREADS) {
    out.put_even(row, i, gated(y, y_stride, z, row, i) * scale * weight[i]);
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS)
gate_f32_f32(const float* y, int y_stride, const float* z, int z_stride, float* out, int out_stride, int inner_dim) {
  gate_element<float, float>(y, y_stride, {z, z_stride}, {out, out_stride}, inner_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_f32_i8(const float* y, int y_stride, const float* z, int z_stride, signed char* out, int out_stride,
            const float* out_scale, int out_scale_step, int inner_dim) {
  gate_element<float, signed char>(y, y_stride, {z, z_stride}, {out, out_stride, out_scale, out_scale_step},
                                   inner_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_i8_f32(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale, int z_scale_step,
            float* out, int out_stride, int inner_dim) {
  gate_element<signed char, float>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, {out, out_stride}, inner_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_i8_i8(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale, int z_scale_step,
           signed char* out, int out_stride, const float* out_scale, int out_scale_step, int inner_dim) {
  gate_element<signed char, signed char>(y, y_stride, {z, z_stride, z_scale, z_scale_step},
                                         {out, out_stride, out_scale, out_scale_step}, inner_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_norm_f32_f32(const float* y, int y_stride, const float* z, int z_stride, const float* weight, float* out,
                  int out_stride, int width, float epsilon) {
  gate_norm_group<float, float>(y, y_stride, {z, z_stride}, weight, {out, out_stride}, width, epsilon);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_norm_f32_i8(const float* y, int y_stride, const float* z, int z_stride, const float* weight, signed char* out,
                 int out_stride, const float* out_scale, int out_scale_step, int width, float epsilon) {
  gate_norm_group<float, signed char>(y, y_stride, {z, z_stride}, weight,
                                      {out, out_stride, out_scale, out_scale_step}, width, epsilon);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_norm_i8_f32(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                 int z_scale_step, const float* weight, float* out, int out_stride, int width, float epsilon) {
  gate_norm_group<signed char, float>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, weight, {out, out_stride},
                                      width, epsilon);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_norm_i8_i8(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                int z_scale_step, const float* weight, signed char* out, int out_stride, const float* out_scale,
                int out_scale_step, int width, float epsilon) {
  gate_norm_group<signed char, signed char>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, weight,
                                            {out, out_stride, out_scale, out_scale_step}, width, epsilon);
}
