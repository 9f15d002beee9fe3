// fours: four neighbours of a row at once, in one load or store where they lie aligned. Holds no entry point.
//
// Kernels are written for ALIGNED or not, and take the same elements in the same order in both: results do not depend on
// where tensors lie. A row's last four may have fewer, count of them, where it is not ALIGNED.
#pragma once
#include "codes.cuh"

constexpr int FOUR = 4;

inline __device__ int fours_of(int width) { return (width + FOUR - 1) / FOUR; }

template <typename T>
struct Four;

template <>
struct Four<float> {
  float4 held;

  __device__ float raw(int k) const { return k == 0 ? held.x : k == 1 ? held.y : k == 2 ? held.z : held.w; }

  template <bool ALIGNED>
  static __device__ Four read(const float* at, int count) {
    if (ALIGNED) return {*reinterpret_cast<const float4*>(at)};
    Four four = {};
    if (count > 0) four.held.x = at[0];
    if (count > 1) four.held.y = at[1];
    if (count > 2) four.held.z = at[2];
    if (count > 3) four.held.w = at[3];
    return four;
  }

  template <bool ALIGNED>
  __device__ void write(float* at, int count) const {
    if (ALIGNED) {
      *reinterpret_cast<float4*>(at) = held;
    } else {
#pragma unroll
      for (int k = 0; k < FOUR; k++) {
        if (k < count) at[k] = raw(k);
      }
    }
  }
};

template <>
struct Four<signed char> {
  unsigned held;  // the first lowest

  __device__ int raw(int k) const { return static_cast<signed char>(held >> 8 * k); }

  template <bool ALIGNED>
  static __device__ Four read(const signed char* at, int count) {
    if (ALIGNED) return {*reinterpret_cast<const unsigned*>(at)};
    Four four = {};
#pragma unroll
    for (int k = 0; k < FOUR; k++) {
      if (k < count) four.held |= static_cast<unsigned>(static_cast<unsigned char>(at[k])) << 8 * k;
    }
    return four;
  }

  template <bool ALIGNED>
  __device__ void write(signed char* at, int count) const {
    if (ALIGNED) {
      *reinterpret_cast<unsigned*>(at) = held;
    } else {
#pragma unroll
      for (int k = 0; k < FOUR; k++) {
        if (k < count) at[k] = static_cast<signed char>(held >> 8 * k);
      }
    }
  }

  // Integers, held to codes.
  static __device__ Four of(int a, int b, int c, int d) {
    unsigned high;
    unsigned all;
    asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, 0;" : "=r"(high) : "r"(d), "r"(c));
    asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(all) : "r"(b), "r"(a), "r"(high));
    return {all};
  }
};

// Whether every row of four has its address and its stride in whole fours.
template <typename T>
__device__ bool in_fours(const T* at, int stride) {
  return (reinterpret_cast<size_t>(at) / sizeof(T) | stride) % FOUR == 0;
}

template <typename T>
__device__ bool in_fours(const Values<T>& values) {
  if constexpr (sizeof(T) == 1) {
    if (values.step != 0 && !in_fours(values.scale, 0)) return false;
  }
  return in_fours(values.at, values.stride);
}
template <typename T>
__device__ bool in_fours(const Results<T>& results) {
  if constexpr (sizeof(T) == 1) {
    if (results.step != 0 && !in_fours(results.scale, 0)) return false;
  }
  return in_fours(results.at, results.stride);
}

// Four columns of values.
template <typename T>
struct Units;

template <>
struct Units<float> {
  struct Common {};
  static __device__ Common common(const Values<float>&) { return {}; }
  template <bool ALIGNED>
  static __device__ Units read(const Values<float>&, int, int, Common = {}) {
    return {};
  }
  __device__ float value(const Four<float>& four, int k) const { return four.raw(k); }
};

template <>
struct Units<signed char> {
  Four<float> unit;

  // What all columns have in common, if they do: to be read early, as it comes from far.
  using Common = float;
  static __device__ Common common(const Values<signed char>& from) { return from.scale[0]; }
  template <bool ALIGNED>
  static __device__ Units read(const Values<signed char>& from, int column, int count, Common common) {
    if (from.step == 0) return {{{common, common, common, common}}};
    return {Four<float>::read<ALIGNED>(from.scale + column, count)};
  }
  template <bool ALIGNED>
  static __device__ Units read(const Values<signed char>& from, int column, int count) {
    return read<ALIGNED>(from, column, count, common(from));
  }
  __device__ float value(const Four<signed char>& four, int k) const {
    return Values<signed char>::widen(four.raw(k), unit.raw(k));
  }
};

// How four columns are rounded.
template <typename T>
struct Rounding;

template <>
struct Rounding<float> {
  struct Common {};
  static __device__ Common common(const Results<float>&) { return {}; }
  template <bool ALIGNED>
  static __device__ Rounding read(const Results<float>&, int, int, Common = {}) {
    return {};
  }
  __device__ Four<float> even(const float (&x)[FOUR]) const { return {{x[0], x[1], x[2], x[3]}}; }
  __device__ Four<float> away(const float (&x)[FOUR]) const { return even(x); }
};

template <>
struct Rounding<signed char> {
  Four<float> scale;
  Four<float> inverse;

  // As of units.
  struct Common {
    float scale;
    float inverse;
  };
  static __device__ Common common(const Results<signed char>& out) {
    const float scale = out.scale[0];
    return {scale, 1 / scale};
  }
  template <bool ALIGNED>
  static __device__ Rounding read(const Results<signed char>& out, int column, int count, const Common& common) {
    if (out.step == 0) {
      return {{{common.scale, common.scale, common.scale, common.scale}},
              {{common.inverse, common.inverse, common.inverse, common.inverse}}};
    }
    const Four<float> scale = Four<float>::read<ALIGNED>(out.scale + column, count);
    return {scale, {{1 / scale.raw(0), 1 / scale.raw(1), 1 / scale.raw(2), 1 / scale.raw(3)}}};
  }
  template <bool ALIGNED>
  static __device__ Rounding read(const Results<signed char>& out, int column, int count) {
    return read<ALIGNED>(out, column, count, common(out));
  }
  __device__ float code(const float (&x)[FOUR], int k) const { return quotient(x[k], scale.raw(k), inverse.raw(k)); }
  __device__ Four<signed char> even(const float (&x)[FOUR]) const {
    return Four<signed char>::of(__float2int_rn(code(x, 0)), __float2int_rn(code(x, 1)), __float2int_rn(code(x, 2)),
                                 __float2int_rn(code(x, 3)));
  }
  __device__ Four<signed char> away(const float (&x)[FOUR]) const {
    return Four<signed char>::of(away_unheld(code(x, 0)), away_unheld(code(x, 1)), away_unheld(code(x, 2)),
                                 away_unheld(code(x, 3)));
  }
};
