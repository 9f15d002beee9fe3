// norm: residual += x; out = residual / sqrt(mean(residual^2) + epsilon) * weight
//
//   x         (n, model_dim) f32
//   residual  (n, model_dim) f32, updated
//   weight    (model_dim)    f32
//   out       (n, model_dim) f32, may be x; or codes with scales, ties to even
//
// Entry points, at the end: norm_f32_f32, norm_f32_i8. A block a row; a thread owns the elements THREADS apart.
#include "codes.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;

// One row. Each thread reads back only what it wrote itself, so the sum needs no barrier but its own.
template <typename T>
__device__ void norm_row(const float* x, float* residual, const float* weight, Results<T> out, int model_dim,
                         float epsilon) {
  float squares = 0;
  for (int i = threadIdx.x; i < model_dim; i += THREADS) {
    const float sum = residual[i] + x[i];
    residual[i] = sum;
    squares = fmaf(sum, sum, squares);
  }
  const float scale = 1 / sqrtf(block_sum<THREADS>(squares) / model_dim + epsilon);
  for (int i = threadIdx.x; i < model_dim; i += THREADS) {
    out.put_even(blockIdx.x, i, residual[i] * scale * weight[i]);
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS)
norm_f32_f32(const float* x, int x_stride, float* residual, int residual_stride, const float* weight, float* out,
             int out_stride, int model_dim, float epsilon) {
  const size_t row = blockIdx.x;
  norm_row<float>(x + row * x_stride, residual + row * residual_stride, weight, {out, out_stride}, model_dim, epsilon);
}

extern "C" __global__ void __launch_bounds__(THREADS)
norm_f32_i8(const float* x, int x_stride, float* residual, int residual_stride, const float* weight, signed char* out,
            int out_stride, const float* out_scale, int out_scale_step, int model_dim, float epsilon) {
  const size_t row = blockIdx.x;
  norm_row<signed char>(x + row * x_stride, residual + row * residual_stride, weight,
                        {out, out_stride, out_scale, out_scale_step}, model_dim, epsilon);
}
