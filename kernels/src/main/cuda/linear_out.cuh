// How a sum of products of codes becomes an output of linear, for every kernel of codes:
//
//   out = f32(sum) * row_scale[o] * x_scale, multiplied in this order, each product rounded
//
// and, if the output is codes, that divided by its column's scale, rounded to nearest, ties to even, and held to
// -128 ... 127. The sum is exact, so an output has the same bits whatever kernel, tile or split computes it.
#pragma once
#include "device.cuh"

// Rows of f32.
struct FloatRows {
  using Element = float;
  float* at;
  int stride;
};

// Rows of codes, with one scale for all columns (step 0) or one for each (step 1).
struct CodeRows {
  using Element = signed char;
  signed char* at;
  int stride;
  const float* scale;
  int step;
};

inline __device__ float scaled_sum(int sum, float row_scale, float x_scale) {
  return __fmul_rn(__fmul_rn(static_cast<float>(sum), row_scale), x_scale);
}

// About 1 / scale; NaN if that is too small.
inline __device__ float inverse_of(float scale) {
  float inverse;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(scale));
  return inverse > 0 ? inverse : __int_as_float(0x7fffffff);
}

// value / scale as a code. The product with the inverse is off by less than 4e-5 below 130, so it gives the same
// integer unless it is about halfway between two: only then, or if it is not finite, is it divided.
inline __device__ int code_of(float value, float scale, float inverse) {
  float quotient = value * inverse;
  if (!(fabsf(fabsf(quotient - rintf(quotient)) - 0.5f) > 1e-4f)) quotient = value / scale;
  return max(-128, min(127, __float2int_rn(quotient)));
}

// Two numbers about an inverse_of(), which is off by 1 in its last place at most: between a value's exact products with
// them lies value / scale, rounded.
struct Bounds {
  float low, high;

  __device__ explicit Bounds(float inverse)
      : low(__fmul_rn(inverse, 1 - 0x5p-24f)), high(__fmul_rn(inverse, 1 + 0x3p-23f)) {}
};

// value / scale as a code, not yet held; `sure` stays true if both products are rounded to it. Only if
// |value * inverse| is below 2^22: so near ROUNDER the bits of a float count in ones.
inline __device__ int near_code(float value, const Bounds& inverse, bool& sure) {
  constexpr float ROUNDER = 3 << 22;
  const int code = __float_as_int(fmaf(value, inverse.low, ROUNDER));
  sure = sure & (code == __float_as_int(fmaf(value, inverse.high, ROUNDER)));
  return code - __float_as_int(ROUNDER);
}

// Four codes, held, the first one lowest.
inline __device__ unsigned held_codes(const int (&codes)[4]) {
  unsigned four;
  asm("{\n"
      ".reg .b32 two;\n"
      "cvt.pack.sat.s8.s32.b32 two, %4, %3, 0;\n"
      "cvt.pack.sat.s8.s32.b32 %0, %2, %1, two;\n"
      "}\n"
      : "=r"(four)
      : "r"(codes[0]), "r"(codes[1]), "r"(codes[2]), "r"(codes[3]));
  return four;
}

inline __device__ float element(const FloatRows&, int, float value) { return value; }

inline __device__ signed char element(const CodeRows& out, int column, float value) {
  const float scale = out.scale[column * out.step];
  return static_cast<signed char>(code_of(value, scale, inverse_of(scale)));
}

// What an output needs but its value, to be read early, as it comes from far: prepare() reads what was there before the
// step, read() what a kernel before may have written.
template <typename Rows>
struct Finish;

template <>
struct Finish<FloatRows> {
  __device__ void prepare(const FloatRows&, int, int) {}
  __device__ void read(const FloatRows&) {}
  __device__ void store(const FloatRows& out, int row, int column, float value) const {
    out.at[static_cast<size_t>(row) * out.stride + column] = value;
  }
};

template <>
struct Finish<CodeRows> {
  float scale;

  __device__ void prepare(const CodeRows& out, int, int column) { scale = out.scale[column * out.step]; }
  __device__ void read(const CodeRows&) {}
  __device__ signed char code(float value) const {
    return static_cast<signed char>(code_of(value, scale, inverse_of(scale)));
  }
  __device__ void store(const CodeRows& out, int row, int column, float value) const {
    out.at[static_cast<size_t>(row) * out.stride + column] = code(value);
  }
};

template <typename Rows>
__device__ void store(const Rows& out, int row, int column, float value) {
  out.at[static_cast<size_t>(row) * out.stride + column] = element(out, column, value);
}
