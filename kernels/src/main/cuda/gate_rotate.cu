// gate_rotate: gate, then rotate, without a trip to memory between: out = H g / sqrt(inner_dim), g = y * silu(z) (groups
// 0) or its norm over each of groups equal parts of a row
//
//   y       (n, inner_dim) f32
//   z       (n, inner_dim) f32, or codes with scales
//   weight  (inner_dim)    f32, of the norm
//   out     (n, inner_dim) f32, may be y; or codes with scales, ties away from zero
//
// Entry points, at the end: gate_rotate_f32_f32, gate_rotate_f32_i8, gate_rotate_i8_f32, gate_rotate_i8_i8, dtypes of z
// and out, for the inner_dim of gate_rotate below, all in whole fours, groups of whole parts; the same of gate_rotate_wide for
// 8192. A block a row.
#include "gate_rotate.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int WIDE_THREADS = 512;
static_assert(THREADS == GATE_THREADS && WIDE_THREADS == Row8192::THREADS, "a block a row");

// Rows of y are read before the first barrier, so that out may be y.
template <class ROW, typename Z, typename T>
__device__ void gate_rotate_row(float* row_sh, float* squares_sh, const float* y, const Values<Z>& z,
                                const float* weight, int groups, float epsilon, const Results<T>& out, float factor) {
  const int thread = threadIdx.x;
  const int lane = thread % WARP;
  const Z* z_row = z.at + static_cast<size_t>(blockIdx.x) * z.stride;
  GateInputs<Z> inputs[ROW::OWN];
  Own<ROW> own;
#pragma unroll
  for (int j = 0; j < ROW::OWN; j++) {
    const int part = ROW::part(thread, j);
    inputs[j] = {};
    if (part < ROW::PARTS) inputs[j] = GateInputs<Z>::template read<true>(y, z_row, part * PART + lane * FOUR, FOUR);
  }
#pragma unroll
  for (int j = 0; j < ROW::OWN; j++) {
    const int part = ROW::part(thread, j);
    own.gated[j] = {};
    if (part < ROW::PARTS) own.gated[j] = Gated::of<true>(inputs[j], z, part * PART + lane * FOUR, FOUR);
  }
  if (groups > 0) own.read_factors(thread, weight);
  rotate_row<ROW>(thread, row_sh, squares_sh, own, weight, groups, epsilon, out,
                  out.at + static_cast<size_t>(blockIdx.x) * out.stride, factor);
}

template <typename Z, typename T>
__device__ void gate_rotate(const float* y, const Values<Z>& z, const float* weight, int groups, float epsilon,
                            const Results<T>& out, int inner_dim, float factor) {
  __shared__ __align__(16) float row_sh[WIDEST];
  __shared__ float squares_sh[WIDEST / PART];
  const auto run = [&](auto row) {
    gate_rotate_row<decltype(row)>(row_sh, squares_sh, y, z, weight, groups, epsilon, out, factor);
  };
  switch (inner_dim) {
    case 1536: run(Row1536{}); break;
    case 2048: run(Row2048{}); break;
    case 3072: run(Row3072{}); break;
    case 3584: run(Row3584{}); break;
    case 4096: run(Row4096{}); break;
    case 5120: run(Row5120{}); break;
    case 7168: run(Row7168{}); break;
    default: break;
  }
}

template <typename Z, typename T>
__device__ void gate_rotate_wide(const float* y, const Values<Z>& z, const float* weight, int groups, float epsilon,
                                 const Results<T>& out, int, float factor) {
  __shared__ __align__(16) float row_sh[WIDE];
  __shared__ float squares_sh[WIDE / PART];
  gate_rotate_row<Row8192>(row_sh, squares_sh, y, z, weight, groups, epsilon, out, factor);
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
