// What is common to gates, rotated or not. Holds no entry point.
#pragma once
#include "fours.cuh"

// Four of y and z.
template <typename Z>
struct GateInputs {
  Four<float> y;
  Four<Z> z;

  // Of a row each.
  template <bool ALIGNED>
  static __device__ GateInputs read(const float* y, const Z* z, int column, int count) {
    return {Four<float>::read<ALIGNED>(y + column, count), Four<Z>::template read<ALIGNED>(z + column, count)};
  }
};

// Four of y * silu(z).
struct Gated {
  float at[FOUR];

  template <typename Z>
  static __device__ Gated of(const GateInputs<Z>& inputs, const Units<Z>& units) {
    Gated gated;
#pragma unroll
    for (int k = 0; k < FOUR; k++) gated.at[k] = __fmul_rn(inputs.y.raw(k), silu(units.value(inputs.z, k)));
    return gated;
  }

  __device__ void multiply(const Four<float>& factors) {
#pragma unroll
    for (int k = 0; k < FOUR; k++) at[k] = __fmul_rn(at[k], factors.raw(k));
  }

  __device__ void add_squares(float& squares) const {
#pragma unroll
    for (int k = 0; k < FOUR; k++) squares = fmaf(at[k], at[k], squares);
  }
};
