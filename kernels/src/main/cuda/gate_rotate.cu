// gate_rotate: gate, then rotate, without a trip to memory between: out = H g / sqrt(inner_dim), g = y * silu(z) (groups
// 0) or its norm over each of groups equal parts of a row
//
//   y       (n, inner_dim) f32
//   z       (n, inner_dim) f32, or codes with scales
//   weight  (inner_dim)    f32, of the norm
//   out     (n, inner_dim) f32, may be y; or codes with scales, ties away from zero
//
// Entry points, at the end: gate_rotate_f32_f32, gate_rotate_f32_i8, gate_rotate_i8_f32, gate_rotate_i8_i8, dtypes of z
// and out, for the inner_dim of gate_rotate below, all in whole fours, groups of whole parts. A block goes from row to
// row.
#include "gate_rotate.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 1024;

// The next row is on its way while one is rotated; as out may be y, it is read before that.
template <class ROW, typename Z, typename T>
__device__ void gate_rotate_rows(float* row_sh, float* squares_sh, const float* y, int y_stride, const Values<Z>& z,
                                 const float* weight, int groups, float epsilon, const Results<T>& out, int n,
                                 float factor) {
  using Share = Own<ROW, THREADS / WARP>;
  Share own;
  GateInputs<Z> inputs[Share::UNITS][ROW::EACH];
  const auto read = [&](int row) {
    const float* y_row = y + static_cast<size_t>(row) * y_stride;
    const Z* z_row = z.at + static_cast<size_t>(row) * z.stride;
    Share::each([&](int u, int k, int part) {
      inputs[u][k] = GateInputs<Z>::template read<true>(y_row, z_row, Share::column(part), FOUR);
    });
  };
  read(blockIdx.x);
  if (groups > 0) own.read_norm(weight, groups);
  const auto common_unit = Units<Z>::common(z);
  const float common_result = common_scale(out);
#pragma unroll 1
  for (int row = blockIdx.x; row < n; row += gridDim.x) {
    Share::each([&](int u, int k, int part) {
      own.gated[u][k] =
          Gated::of(inputs[u][k], Units<Z>::template read<true>(z, Share::column(part), FOUR, common_unit));
    });
    const bool more = row + static_cast<int>(gridDim.x) < n;
    if (more) read(row + gridDim.x);
    T* to = out.at + static_cast<size_t>(row) * out.stride;
    own.rotate(row_sh, squares_sh, groups > 0, epsilon, Writer<T>(out, to, factor, common_result));
    if (more) sync_first<THREADS>();
  }
}

template <typename Z, typename T>
__device__ void gate_rotate(const float* y, int y_stride, const Values<Z>& z, const float* weight, int groups,
                            float epsilon, const Results<T>& out, int n, int inner_dim, float factor) {
  __shared__ __align__(16) float row_sh[WIDEST];
  __shared__ float squares_sh[WIDEST / PART];
  const auto run = [&](auto row) {
    gate_rotate_rows<decltype(row)>(row_sh, squares_sh, y, y_stride, z, weight, groups, epsilon, out, n, factor);
  };
  switch (inner_dim) {
    case 1536: run(Row1536{}); break;
    case 2048: run(Row2048{}); break;
    case 3072: run(Row3072{}); break;
    case 3584: run(Row3584{}); break;
    case 4096: run(Row4096{}); break;
    case 5120: run(Row5120{}); break;
    case 7168: run(Row7168{}); break;
    case 8192: run(Row8192{}); break;
    default: break;
  }
}

// ---------------------------------------------------------------- entry points

// Grid (no more than n).

extern "C" __global__ void __launch_bounds__(THREADS)
gate_rotate_f32_f32(const float* y, int y_stride, const float* z, int z_stride, const float* weight, float* out,
                    int out_stride, int n, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate<float, float>(y, y_stride, {z, z_stride}, weight, groups, epsilon, {out, out_stride}, n, inner_dim,
                            factor);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_rotate_f32_i8(const float* y, int y_stride, const float* z, int z_stride, const float* weight, signed char* out,
                   int out_stride, const float* out_scale, int out_scale_step, int n, int inner_dim, int groups,
                   float epsilon, float factor) {
  gate_rotate<float, signed char>(y, y_stride, {z, z_stride}, weight, groups, epsilon,
                                  {out, out_stride, out_scale, out_scale_step}, n, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_rotate_i8_f32(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                   int z_scale_step, const float* weight, float* out, int out_stride, int n, int inner_dim, int groups,
                   float epsilon, float factor) {
  gate_rotate<signed char, float>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon,
                                  {out, out_stride}, n, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_rotate_i8_i8(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                  int z_scale_step, const float* weight, signed char* out, int out_stride, const float* out_scale,
                  int out_scale_step, int n, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate<signed char, signed char>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon,
                                        {out, out_stride, out_scale, out_scale_step}, n, inner_dim, factor);
}
