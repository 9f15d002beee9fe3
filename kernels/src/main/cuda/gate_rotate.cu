// gate_rotate: gate, then rotate, without a trip to memory between: out = H g / sqrt(inner_dim), g = y * silu(z)
// (groups 0) or its norm over each of groups equal parts of a row
//
//   y       (n, inner_dim) f32
//   z       (n, inner_dim) f32, or codes with scales
//   weight  (inner_dim)    f32, of the norm
//   out     (n, inner_dim) f32, may be y; or codes with scales, ties away from zero
//
// Entry points, at the end: gate_rotate_f32_f32, gate_rotate_f32_i8, gate_rotate_i8_f32, gate_rotate_i8_i8, dtypes of z
// and out, for the inner_dim of run_row, all in whole fours, groups of whole parts. A block goes from row to row.
//
// A lane has 4 neighbours of a part of 128 columns, in registers up to the inner 7 levels of S; the rest of H mixes
// what lies parts apart, in registers again, after one exchange through shared memory. For few rows there is
// gate_rotate_few, which gives the same bits.
#include "gate_rotate.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 1024;
constexpr int WARPS = THREADS / WARP;

// What a thread has of a row: four columns of each part of its warp's units.
template <class ROW>
struct Own {
  static constexpr int UNITS = (ROW::COUNT + WARPS - 1) / WARPS;
  Gated gated[UNITS][ROW::EACH];

  // Of a norm: its factors, the parts of a group, and the first of each part's group.
  Four<float> factors[UNITS][ROW::EACH];
  int group_parts;
  int group[UNITS][ROW::EACH];

  // Calls what(u, k, part) for each part that there is.
  template <class What>
  static __device__ void each(What what) {
    // The same for all lanes, as the compiler must know: or else it has detours for each shuffle.
    const int warp = __shfl_sync(ALL_LANES, static_cast<int>(threadIdx.x) / WARP, 0);
#pragma unroll
    for (int u = 0; u < UNITS; u++) {
      const int unit = warp + u * WARPS;
      if (unit >= ROW::COUNT) break;
#pragma unroll
      for (int k = 0; k < ROW::EACH; k++) what(u, k, ROW::part(unit, k));
    }
  }
  static __device__ int column(int part) { return part * PART + threadIdx.x % WARP * FOUR; }

  // What a norm needs. Early, as it comes from far and division takes its time.
  __device__ void read_norm(const float* weight, int groups) {
    each([&](int u, int k, int part) { factors[u][k] = Four<float>::read<true>(weight + column(part), FOUR); });
    group_parts = groups == 1 ? ROW::PARTS : ROW::PARTS / groups;
    each([&](int u, int k, int part) { group[u][k] = groups == 1 ? 0 : part - part % group_parts; });
  }

  // Norms what is gated, if it is to be, and rotates it.
  template <class W>
  __device__ void rotate(float* row_sh, float* squares_sh, bool norms, float epsilon, const W& writer) {
    if (norms) {
      each([&](int u, int k, int part) {
        float squares = 0;
        gated[u][k].add_squares(squares);
        squares = warp_sum(squares);
        if (threadIdx.x % WARP == 0) squares_sh[part] = squares;
        gated[u][k].multiply(factors[u][k]);
      });
    }
    each([&](int u, int k, int) { mix_part(gated[u][k].at); });
    if (norms) {
      sync_first<THREADS>();
      int last = -1;
      float scale = 0;
      each([&](int u, int k, int) {
        if (group[u][k] != last) scale = norm_scale(squares_sh + group[u][k], group_parts, epsilon);
        last = group[u][k];
#pragma unroll
        for (int c = 0; c < FOUR; c++) gated[u][k].at[c] = __fmul_rn(gated[u][k].at[c], scale);
      });
    }
    each([&](int u, int k, int) {
      if (k == 0) return;
#pragma unroll
      for (int c = 0; c < FOUR; c++) butterfly(gated[u][0].at[c], gated[u][k].at[c]);
    });
    each([&](int u, int k, int part) {
      const float(&x)[FOUR] = gated[u][k].at;
      Four<float>{{x[0], x[1], x[2], x[3]}}.template write<true>(row_sh + column(part), FOUR);
    });
    sync_first<THREADS>();
    mix_units<ROW, PART, THREADS>(row_sh, writer);
  }
};

// The next row is on its way while one is rotated; as out may be y, it is read before that.
template <class ROW, typename Z, typename T>
__device__ void gate_rotate_rows(float* row_sh, float* squares_sh, const float* y, int y_stride, const Values<Z>& z,
                                 const float* weight, int groups, float epsilon, const Results<T>& out, int n,
                                 float factor) {
  using Share = Own<ROW>;
  Share own;
  GateInputs<Z> inputs[Share::UNITS][ROW::EACH];
  const auto read = [&](int row) {
    const float* y_row = y + static_cast<size_t>(row) * y_stride;
    const Z* z_row = z.at + static_cast<size_t>(row) * z.stride;
    Share::each([&](int u, int k, int part) {
      inputs[u][k] = GateInputs<Z>::template read<true>(y_row, z_row, Share::column(part), FOUR);
    });
  };
  begin_next();
  if (groups > 0) own.read_norm(weight, groups);
  const auto common_unit = Units<Z>::common(z);
  const float common_result = common_scale(out);
  await_before();
  read(blockIdx.x);
#pragma unroll 1
  for (int row = blockIdx.x; row < n; row += gridDim.x) {
    Share::each([&](int u, int k, int part) {
      own.gated[u][k] =
          Gated::of(inputs[u][k], Units<Z>::template read<true>(z, Share::column(part), FOUR, common_unit));
    });
    const bool more = row + static_cast<int>(gridDim.x) < n;
    if (more) read(row + gridDim.x);
    T* to = out.at + static_cast<size_t>(row) * out.stride;
    own.rotate(row_sh, squares_sh, groups > 0, epsilon, Writer<T>(out, to, 0, factor, common_result));
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
  run_row(inner_dim, run);
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
