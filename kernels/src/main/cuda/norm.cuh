// What norm.cu does with a row. Holds no entry point.
//
// A thread owns fours that lie NORM_THREADS fours apart, the first HELD of them in registers, further ones where residual
// lies.
#pragma once
#include "fours.cuh"

constexpr int NORM_THREADS = 256;
constexpr int HELD = 4;
constexpr int MOST_HELD = HELD * NORM_THREADS * FOUR;  // columns of a row in registers

struct Sum {
  float at[FOUR];
};

// Adds four of x to the residual, and their squares to a sum.
template <bool ALIGNED, bool KEEPS>
__device__ Sum add(const Four<float>& x, const Four<float>& residual, float* to, int count, float& squares) {
  Sum sum;
#pragma unroll
  for (int k = 0; k < FOUR; k++) {
    sum.at[k] = x.raw(k) + residual.raw(k);
    squares = fmaf(sum.at[k], sum.at[k], squares);
  }
  if (KEEPS) {
    const Four<float> all = {{sum.at[0], sum.at[1], sum.at[2], sum.at[3]}};
    all.write<ALIGNED>(to, count);
  }
  return sum;
}

template <bool ALIGNED, typename T, typename To>
__device__ void put(Sum sum, float scale, const Four<float>& weight, const Results<T>& out,
                    const typename Rounding<T>::Common& common, To to, int column, int count) {
#pragma unroll
  for (int k = 0; k < FOUR; k++) sum.at[k] = sum.at[k] * scale * weight.raw(k);
  Rounding<T>::template read<ALIGNED>(out, column, count, common)
      .even(sum.at)
      .template write<ALIGNED>(to + column, count);
}

// A row, by the first NORM_THREADS threads of a block, to `to`. Unless it KEEPS the sum, up to MOST_HELD columns.
template <bool ALIGNED, bool KEEPS, typename T, typename To>
__device__ void norm_row(const float* x, float* residual, const float* weight, const Results<T>& out, To to,
                         int model_dim, float epsilon) {
  const int fours = fours_of(model_dim);
  Four<float> own[HELD];
  Four<float> before[HELD];
  Four<float> factor[HELD];
  Sum sums[HELD];
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int four = j * NORM_THREADS + threadIdx.x;
    const int column = four * FOUR;
    own[j] = {};
    before[j] = {};
    if (four < fours) {
      own[j] = Four<float>::read<ALIGNED>(x + column, model_dim - column);
      before[j] = Four<float>::read<ALIGNED>(residual + column, model_dim - column);
    }
  }
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int four = j * NORM_THREADS + threadIdx.x;
    factor[j] = {};
    if (four < fours) factor[j] = Four<float>::read<ALIGNED>(weight + four * FOUR, model_dim - four * FOUR);
  }
  const typename Rounding<T>::Common common = Rounding<T>::common(out);
  float squares = 0;
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int four = j * NORM_THREADS + threadIdx.x;
    const int column = four * FOUR;
    if (four < fours) {
      sums[j] = add<ALIGNED, KEEPS>(own[j], before[j], residual + column, model_dim - column, squares);
    }
  }
  for (int four = HELD * NORM_THREADS + threadIdx.x; four < fours; four += NORM_THREADS) {
    const int column = four * FOUR;
    const int count = model_dim - column;
    add<ALIGNED, KEEPS>(Four<float>::read<ALIGNED>(x + column, count), Four<float>::read<ALIGNED>(residual + column, count),
                 residual + column, count, squares);
  }
  const float scale = 1 / sqrtf(block_sum<NORM_THREADS>(squares) / model_dim + epsilon);
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int four = j * NORM_THREADS + threadIdx.x;
    const int column = four * FOUR;
    if (four < fours) put<ALIGNED>(sums[j], scale, factor[j], out, common, to, column, model_dim - column);
  }
  for (int four = HELD * NORM_THREADS + threadIdx.x; four < fours; four += NORM_THREADS) {
    const int column = four * FOUR;
    const int count = model_dim - column;
    const Four<float> sum = Four<float>::read<ALIGNED>(residual + column, count);
    put<ALIGNED>({{sum.raw(0), sum.raw(1), sum.raw(2), sum.raw(3)}}, scale,
                    Four<float>::read<ALIGNED>(weight + column, count), out, common, to, column, count);
  }
}
