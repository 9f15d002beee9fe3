// norm: residual += x; out = residual / sqrt(mean(residual^2) + epsilon) * weight
//
//   x         (n, model_dim) f32
//   residual  (n, model_dim) f32, updated
//   weight    (model_dim)    f32
//   out       (n, model_dim) f32, may be x; or codes with scales, ties to even
//
// Entry points, at the end: norm_f32_f32, norm_f32_i8. A block a row.
#include "norm.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
static_assert(THREADS == NORM_THREADS, "a block a row");

template <typename T>
__device__ void norm(const float* x, int x_stride, float* residual, int residual_stride, const float* weight,
                     const Results<T>& out, int model_dim, float epsilon) {
  const bool aligned = in_fours(x, x_stride) && in_fours(residual, residual_stride) && in_fours(weight, model_dim) &&
                       in_fours(out);
  x += static_cast<size_t>(blockIdx.x) * x_stride;
  residual += static_cast<size_t>(blockIdx.x) * residual_stride;
  T* to = out.at + static_cast<size_t>(blockIdx.x) * out.stride;
  if (aligned) {
    norm_row<true, true, T>(x, residual, weight, out, to, model_dim, epsilon);
  } else {
    norm_row<false, true, T>(x, residual, weight, out, to, model_dim, epsilon);
  }
}

// ---------------------------------------------------------------- entry points

// Grid (n).

extern "C" __global__ void __launch_bounds__(THREADS)
norm_f32_f32(const float* x, int x_stride, float* residual, int residual_stride, const float* weight, float* out,
             int out_stride, int model_dim, float epsilon) {
  norm<float>(x, x_stride, residual, residual_stride, weight, {out, out_stride}, model_dim, epsilon);
}

extern "C" __global__ void __launch_bounds__(THREADS)
norm_f32_i8(const float* x, int x_stride, float* residual, int residual_stride, const float* weight, signed char* out,
            int out_stride, const float* out_scale, int out_scale_step, int model_dim, float epsilon) {
  norm<signed char>(x, x_stride, residual, residual_stride, weight, {out, out_stride, out_scale, out_scale_step},
                    model_dim, epsilon);
}
