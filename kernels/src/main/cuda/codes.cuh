// codes: int8 codes and the numbers that they stand for. Only here are codes read, and numbers rounded to them.
//
// value = code * scale, code = value / scale rounded and held to -128 ... 127. Products are never fused with a sum that
// follows: a value is the same number wherever it is used. NaN becomes code 0.
//
// Values<T> and Results<T> are rows of f32, or of codes with scales: one for all columns (step 0) or one each (step 1).
// Kernels are written once for both; what f32 does not need folds away.
#pragma once
#include "device.cuh"

constexpr float LOWEST = -128;
constexpr float HIGHEST = 127;

inline __device__ float held(float value) {
  const float low = value < LOWEST ? LOWEST : value;
  return low > HIGHEST ? HIGHEST : low;
}

// The nearest integer, ties to even, held.
inline __device__ float nearest(float value) { return rintf(held(value)); }

inline __device__ signed char even(float value) { return static_cast<signed char>(__float2int_rn(held(value))); }

// As even, but ties away from zero.
inline __device__ int away_unheld(float value) {
  constexpr float NEARLY_HALF = 0.49999997f;  // the next below, lest the sum round to the next integer
  return __float2int_rz(value + copysignf(NEARLY_HALF, value));
}
inline __device__ signed char away(float value) {
  int code;  // held, which spares comparing value
  asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, 0;" : "=r"(code) : "r"(0), "r"(away_unheld(value)));
  return static_cast<signed char>(code);
}

// value / scale without a division, given 1 / scale: one step after the first guess. What is far beyond all codes stays
// a guess, as the step may lead from infinity to NaN.
inline __device__ float quotient(float value, float scale, float inverse) {
  const float guess = value * inverse;
  const float rest = fmaf(-guess, scale, value);
  return fabsf(guess) > 2 * HIGHEST ? guess : fmaf(rest, inverse, guess);
}

template <typename T>
struct Values;

template <>
struct Values<float> {
  using Raw = float;
  const float* at;
  int stride;

  __device__ Raw raw(size_t row, int column) const { return at[row * stride + column]; }
  __device__ float unit(int) const { return 1; }
  static __device__ float widen(Raw raw, float) { return raw; }
  __device__ float value(size_t row, int column) const { return raw(row, column); }
};

template <>
struct Values<signed char> {
  using Raw = int;
  const signed char* at;
  int stride;
  const float* scale;
  int step;

  __device__ Raw raw(size_t row, int column) const { return at[row * stride + column]; }
  __device__ float unit(int column) const { return scale[column * step]; }
  static __device__ float widen(Raw raw, float unit) { return __fmul_rn(static_cast<float>(raw), unit); }
  __device__ float value(size_t row, int column) const { return widen(raw(row, column), unit(column)); }
};

template <typename T>
struct Results;

template <>
struct Results<float> {
  float* at;
  int stride;

  __device__ void put_even(size_t row, int column, float value) const { at[row * stride + column] = value; }
  __device__ void put_away(size_t row, int column, float value) const { at[row * stride + column] = value; }
};

template <>
struct Results<signed char> {
  signed char* at;
  int stride;
  const float* scale;
  int step;

  __device__ void put_even(size_t row, int column, float value) const {
    at[row * stride + column] = even(value / scale[column * step]);
  }
  __device__ void put_away(size_t row, int column, float value) const {
    at[row * stride + column] = away(value / scale[column * step]);
  }
};
