// gate_rotate: gate, then rotate, without a trip to memory between: out = H g / sqrt(inner_dim), g = y * silu(z) (groups
// 0) or its norm over each of groups equal parts of a row
//
//   y       (n, inner_dim) f32
//   z       (n, inner_dim) f32, or codes with scales
//   weight  (inner_dim)    f32, of the norm
//   out     (n, inner_dim) f32, may be y; or codes with scales, ties away from zero
//
// Entry points, at the end: gate_rotate_f32_f32, gate_rotate_f32_i8, gate_rotate_i8_f32, gate_rotate_i8_i8, dtypes of z
// and out, for the inner_dim of with_row, all in whole fours, groups of whole parts; the same of gate_rotate_wide for
// 8192. A block a row.
#include "gate_rotate.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int WIDE_THREADS = 512;
static_assert(THREADS == GATE_THREADS && WIDE_THREADS == WideRow::THREADS, "a block a row");

// Rows of y are read before the first barrier, so that out may be y.
template <class ROW, typename Z, typename T>
__device__ void gate_rotate_block(float* row_sh, float* squares_sh, const float* y, const Values<Z>& z,
                                  const float* weight, int groups, float epsilon, const Results<T>& out,
                                  float factor) {
  const size_t row = blockIdx.x;
  gate_rotate_row<ROW>(row_sh, squares_sh, y, z, z.at + row * z.stride, weight, groups, epsilon, out,
                       out.at + row * out.stride, factor);
}

template <typename Z, typename T>
__device__ void gate_rotate(const float* y, const Values<Z>& z, const float* weight, int groups, float epsilon,
                            const Results<T>& out, int inner_dim, float factor) {
  __shared__ __align__(16) float row_sh[WIDEST];
  __shared__ float squares_sh[WIDEST / PART];
  with_row(inner_dim, [&](auto row) {
    gate_rotate_block<decltype(row)>(row_sh, squares_sh, y, z, weight, groups, epsilon, out, factor);
  });
}

template <typename Z, typename T>
__device__ void gate_rotate_wide(const float* y, const Values<Z>& z, const float* weight, int groups, float epsilon,
                                 const Results<T>& out, int, float factor) {
  __shared__ __align__(16) float row_sh[WIDE];
  __shared__ float squares_sh[WIDE / PART];
  gate_rotate_block<WideRow>(row_sh, squares_sh, y, z, weight, groups, epsilon, out, factor);
}

// ---------------------------------------------------------------- entry points

// Grid (n).

extern "C" __global__ void __launch_bounds__(THREADS, 2)
gate_rotate_f32_f32(const float* y, int y_stride, const float* z, int z_stride, const float* weight, float* out,
                    int out_stride, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate<float, float>(y + static_cast<size_t>(blockIdx.x) * y_stride, {z, z_stride}, weight, groups, epsilon,
                            {out, out_stride}, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
gate_rotate_f32_i8(const float* y, int y_stride, const float* z, int z_stride, const float* weight, signed char* out,
                   int out_stride, const float* out_scale, int out_scale_step, int inner_dim, int groups,
                   float epsilon, float factor) {
  gate_rotate<float, signed char>(y + static_cast<size_t>(blockIdx.x) * y_stride, {z, z_stride}, weight, groups,
                                  epsilon, {out, out_stride, out_scale, out_scale_step}, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
gate_rotate_i8_f32(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                   int z_scale_step, const float* weight, float* out, int out_stride, int inner_dim, int groups,
                   float epsilon, float factor) {
  gate_rotate<signed char, float>(y + static_cast<size_t>(blockIdx.x) * y_stride,
                                  {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon, {out, out_stride},
                                  inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
gate_rotate_i8_i8(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                  int z_scale_step, const float* weight, signed char* out, int out_stride, const float* out_scale,
                  int out_scale_step, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate<signed char, signed char>(y + static_cast<size_t>(blockIdx.x) * y_stride,
                                        {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon,
                                        {out, out_stride, out_scale, out_scale_step}, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(WIDE_THREADS)
gate_rotate_wide_f32_f32(const float* y, int y_stride, const float* z, int z_stride, const float* weight, float* out,
                    int out_stride, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate_wide<float, float>(y + static_cast<size_t>(blockIdx.x) * y_stride, {z, z_stride}, weight, groups, epsilon,
                            {out, out_stride}, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(WIDE_THREADS)
gate_rotate_wide_f32_i8(const float* y, int y_stride, const float* z, int z_stride, const float* weight, signed char* out,
                   int out_stride, const float* out_scale, int out_scale_step, int inner_dim, int groups,
                   float epsilon, float factor) {
  gate_rotate_wide<float, signed char>(y + static_cast<size_t>(blockIdx.x) * y_stride, {z, z_stride}, weight, groups,
                                  epsilon, {out, out_stride, out_scale, out_scale_step}, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(WIDE_THREADS)
gate_rotate_wide_i8_f32(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                   int z_scale_step, const float* weight, float* out, int out_stride, int inner_dim, int groups,
                   float epsilon, float factor) {
  gate_rotate_wide<signed char, float>(y + static_cast<size_t>(blockIdx.x) * y_stride,
                                  {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon, {out, out_stride},
                                  inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(WIDE_THREADS)
gate_rotate_wide_i8_i8(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                  int z_scale_step, const float* weight, signed char* out, int out_stride, const float* out_scale,
                  int out_scale_step, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate_wide<signed char, signed char>(y + static_cast<size_t>(blockIdx.x) * y_stride,
                                        {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon,
                                        {out, out_stride, out_scale, out_scale_step}, inner_dim, factor);
}
