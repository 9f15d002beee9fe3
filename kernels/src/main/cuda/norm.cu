// norm: residual += x; out = residual / sqrt(mean(residual^2) + epsilon) * weight
//
//   x         (n, model_dim) f32
//   residual  (n, model_dim) f32, updated
//   weight    (model_dim)    f32
//   out       (n, model_dim) f32, may be x; or codes with scales, ties to even
//
// Entry points, at the end: norm_f32_f32, norm_f32_i8. A block a row; a thread owns fours that lie THREADS fours apart,
// the first HELD of them in registers, further ones where residual lies.
#include "fours.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int HELD = 4;

struct Sum {
  float at[FOUR];
};

// Adds four of x to the residual, and their squares to a sum.
template <bool ALIGNED>
__device__ Sum add(const Four<float>& x, const Four<float>& residual, float* to, int count, float& squares) {
  Sum sum;
#pragma unroll
  for (int k = 0; k < FOUR; k++) {
    sum.at[k] = x.raw(k) + residual.raw(k);
    squares = fmaf(sum.at[k], sum.at[k], squares);
  }
  const Four<float> all = {{sum.at[0], sum.at[1], sum.at[2], sum.at[3]}};
  all.write<ALIGNED>(to, count);
  return sum;
}

template <bool ALIGNED, typename T>
__device__ void put(Sum sum, float scale, const Four<float>& weight, const Results<T>& out,
                    const typename Rounding<T>::Common& common, T* to, int column, int count) {
#pragma unroll
  for (int k = 0; k < FOUR; k++) sum.at[k] = sum.at[k] * scale * weight.raw(k);
  Rounding<T>::template read<ALIGNED>(out, column, count, common)
      .even(sum.at)
      .template write<ALIGNED>(to + column, count);
}

template <bool ALIGNED, typename T>
__device__ void norm_row(const float* x, float* residual, const float* weight, const Results<T>& out, int model_dim,
                         float epsilon) {
  const int fours = fours_of(model_dim);
  T* to = out.at + static_cast<size_t>(blockIdx.x) * out.stride;
  Four<float> own[HELD];
  Four<float> before[HELD];
  Four<float> factor[HELD];
  Sum sums[HELD];
  begin_next();
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int four = j * THREADS + threadIdx.x;
    factor[j] = {};
    if (four < fours) factor[j] = Four<float>::read<ALIGNED>(weight + four * FOUR, model_dim - four * FOUR);
  }
  const typename Rounding<T>::Common common = Rounding<T>::common(out);
  await_before();
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int four = j * THREADS + threadIdx.x;
    const int column = four * FOUR;
    own[j] = {};
    before[j] = {};
    if (four < fours) {
      own[j] = Four<float>::read<ALIGNED>(x + column, model_dim - column);
      before[j] = Four<float>::read<ALIGNED>(residual + column, model_dim - column);
    }
  }
  float squares = 0;
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int four = j * THREADS + threadIdx.x;
    const int column = four * FOUR;
    if (four < fours) {
      sums[j] = add<ALIGNED>(own[j], before[j], residual + column, model_dim - column, squares);
    }
  }
  for (int four = HELD * THREADS + threadIdx.x; four < fours; four += THREADS) {
    const int column = four * FOUR;
    const int count = model_dim - column;
    add<ALIGNED>(Four<float>::read<ALIGNED>(x + column, count), Four<float>::read<ALIGNED>(residual + column, count),
                 residual + column, count, squares);
  }
  const float scale = 1 / sqrtf(block_sum<THREADS>(squares) / model_dim + epsilon);
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int four = j * THREADS + threadIdx.x;
    const int column = four * FOUR;
    if (four < fours) put<ALIGNED, T>(sums[j], scale, factor[j], out, common, to, column, model_dim - column);
  }
  for (int four = HELD * THREADS + threadIdx.x; four < fours; four += THREADS) {
    const int column = four * FOUR;
    const int count = model_dim - column;
    const Four<float> sum = Four<float>::read<ALIGNED>(residual + column, count);
    put<ALIGNED, T>({{sum.raw(0), sum.raw(1), sum.raw(2), sum.raw(3)}}, scale,
                    Four<float>::read<ALIGNED>(weight + column, count), out, common, to, column, count);
  }
}

template <typename T>
__device__ void norm(const float* x, int x_stride, float* residual, int residual_stride, const float* weight,
                     const Results<T>& out, int model_dim, float epsilon) {
  const bool aligned = in_fours(x, x_stride) && in_fours(residual, residual_stride) && in_fours(weight, model_dim) &&
                       in_fours(out);
  x += static_cast<size_t>(blockIdx.x) * x_stride;
  residual += static_cast<size_t>(blockIdx.x) * residual_stride;
  if (aligned) {
    norm_row<true, T>(x, residual, weight, out, model_dim, epsilon);
  } else {
    norm_row<false, T>(x, residual, weight, out, model_dim, epsilon);
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
