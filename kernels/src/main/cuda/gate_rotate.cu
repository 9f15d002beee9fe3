// gate_rotate: gate, then rotate, without a trip to memory between: out = H g / sqrt(inner_dim), g = y * silu(z)
// (groups 0) or its norm over each of groups equal parts of a row
//
//   y       (n, inner_dim) f32
//   z       (n, inner_dim) f32, or codes with scales
//   weight  (inner_dim)    f32, of the norm
//   out     (n, inner_dim) f32, may be y; or codes with scales, ties away from zero
//
// Entry points, at the end: gate_rotate_f32_f32, gate_rotate_f32_i8, gate_rotate_i8_f32, gate_rotate_i8_i8, dtypes of z
// and out, for the inner_dim of gate_rotate below, all in whole fours, groups of whole parts. A block goes from row to
// row.
//
// A lane has 4 neighbours of a part of 128 columns, in registers up to the inner 7 levels of S; the rest of H mixes
// what lies parts apart, in registers again, after one exchange through shared memory. With few rows a block's code
// runs once and coming from far is what it mostly costs, so there is little of it, for many threads.
#include "gate.cuh"
#include "hadamard.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 1024;
constexpr int WARPS = THREADS / WARP;
constexpr int PART = WARP * FOUR;
constexpr int WIDEST = 8192;
constexpr int QUARTERS = 4;  // of the units, which threads mix
constexpr int FEW = 16;      // blocks: what the next kernel copies would be in their way, so it begins later

inline __device__ void butterfly(float& a, float& b) {
  const float sum = a + b;
  b = a - b;
  a = sum;
}

// S of N elements, a power of 2.
template <int N>
__device__ void mix_few(float (&x)[N]) {
#pragma unroll
  for (int apart = 1; apart < N; apart *= 2) {
#pragma unroll
    for (int i = 0; i < N; i++) {
      if ((i & apart) == 0) butterfly(x[i], x[i + apart]);
    }
  }
}

// inner_dim = COUNT * EACH * PART: units of EACH parts, 1 or 2, which are neighbours or lie half a row apart. H mixes
// what is in a part and the parts of a unit by S, then the units by B, or by S too where BASE is 1.
template <int BASE_OF, int COUNT_OF, int EACH_OF, bool HALF_APART = false>
struct Row {
  static constexpr int BASE = BASE_OF;
  static constexpr int COUNT = COUNT_OF;
  static constexpr int EACH = EACH_OF;
  static constexpr int PARTS = COUNT * EACH;
  static constexpr int STEP = HALF_APART ? 1 : EACH;  // from unit to unit
  static constexpr int APART = HALF_APART ? COUNT : 1;

  static __device__ int part(int unit, int k) { return unit * STEP + k * APART; }
};

// What S mixes of four neighbours of each lane.
inline __device__ void mix_part(float (&x)[FOUR]) {
  mix_few(x);
#pragma unroll
  for (int apart = 1; apart < WARP; apart *= 2) {
    const float sign = (threadIdx.x & apart) == 0 ? 1 : -1;
#pragma unroll
    for (int k = 0; k < FOUR; k++) x[k] = fmaf(sign, x[k], __shfl_xor_sync(ALL_LANES, x[k], apart));
  }
}

// Four terms of each of B's rows from FIRST on. Rows share the 8 sums that there are of them, but for the sign.
template <int BASE, int FIRST, int COUNT>
__device__ void mix_four(const float (&x)[FOUR], int column, float (&sums)[COUNT]) {
  const float ab = x[0] + x[1];
  const float ab_apart = x[0] - x[1];
  const float cd = x[2] + x[3];
  const float cd_apart = x[2] - x[3];
#pragma unroll
  for (int row = 0; row < COUNT; row++) {
    const unsigned signs = table_row<BASE>(FIRST + row) >> column;
    const float left = ((signs ^ signs >> 1) & 1) != 0 ? ab_apart : ab;
    const float right = ((signs >> 2 ^ signs >> 3) & 1) != 0 ? cd_apart : cd;
    const float both = ((signs ^ signs >> 2) & 1) != 0 ? left - right : left + right;
    sums[row] = (signs & 1) != 0 ? sums[row] + both : sums[row] - both;
  }
}

// How many codes factor stands for in a column. Seldom asked for and long, so not inlined.
inline __device__ __noinline__ float codes_of(float factor, const float* scale) { return factor / *scale; }

// What a column's scale is if all have one; read early, as it comes from far.
inline __device__ float common_scale(const Results<float>&) { return 1; }
inline __device__ float common_scale(const Results<signed char>& out) { return out.scale[0]; }

// Writes results to columns of a row: scaled by factor, or by how many codes it stands for.
template <typename T>
struct Writer {
  const Results<T>& out;
  T* to;
  float factor;
  float codes;

  __device__ Writer(const Results<T>& out, T* to, float factor, float common)
      : out(out), to(to), factor(factor), codes(factor / common) {}
  __device__ void put(int column, float value) const {
    if constexpr (sizeof(T) == 1) {
      to[column] = away(value * (out.step == 0 ? codes : codes_of(factor, out.scale + column)));
    } else {
      to[column] = value * factor;
    }
  }
};

// Column r of part k of the units: a quarter of B's rows.
template <class ROW, int QUARTER, class W>
__device__ void mix_by_base(const float* row_sh, int r, int k, const W& writer) {
  constexpr int ROWS = ROW::COUNT / QUARTERS;
  float sums[ROWS] = {};
#pragma unroll
  for (int unit = 0; unit < ROW::COUNT; unit += FOUR) {
    float x[FOUR];
#pragma unroll
    for (int i = 0; i < FOUR; i++) x[i] = row_sh[ROW::part(unit + i, k) * PART + r];
    mix_four<ROW::BASE, QUARTER * ROWS>(x, unit, sums);
  }
#pragma unroll
  for (int row = 0; row < ROWS; row++) writer.put(ROW::part(QUARTER * ROWS + row, k) * PART + r, sums[row]);
}

// The units of a row in shared memory, mixed and written.
template <class ROW, class W>
__device__ void mix_units(float* row_sh, const W& writer) {
  constexpr int ALL = QUARTERS * ROW::EACH;
  const int r = threadIdx.x % PART;
  const int first = threadIdx.x / PART;
  if constexpr (ROW::BASE == 1) {
    constexpr int RUN = ROW::COUNT / QUARTERS;
#pragma unroll 1
    for (int i = first; i < ALL; i += THREADS / PART) {
      float* at = row_sh + ROW::part(i % QUARTERS * RUN, i / QUARTERS) * PART + r;
      float x[RUN];
#pragma unroll
      for (int u = 0; u < RUN; u++) x[u] = at[ROW::part(u, 0) * PART];
      mix_few(x);
#pragma unroll
      for (int u = 0; u < RUN; u++) at[ROW::part(u, 0) * PART] = x[u];
    }
    sync_first<THREADS>();
#pragma unroll 1
    for (int i = first; i < ALL; i += THREADS / PART) {
#pragma unroll
      for (int u = 0; u < RUN; u += QUARTERS) {
        const int column = ROW::part(i % QUARTERS + u, i / QUARTERS) * PART + r;
        float x[QUARTERS];
#pragma unroll
        for (int q = 0; q < QUARTERS; q++) x[q] = row_sh[column + ROW::part(q * RUN, 0) * PART];
        mix_few(x);
#pragma unroll
        for (int q = 0; q < QUARTERS; q++) writer.put(column + ROW::part(q * RUN, 0) * PART, x[q]);
      }
    }
  } else {
#pragma unroll 1
    for (int i = first; i < ALL; i += THREADS / PART) {
      const int k = i / QUARTERS;
      switch (i % QUARTERS) {
        case 0: mix_by_base<ROW, 0>(row_sh, r, k, writer); break;
        case 1: mix_by_base<ROW, 1>(row_sh, r, k, writer); break;
        case 2: mix_by_base<ROW, 2>(row_sh, r, k, writer); break;
        default: mix_by_base<ROW, 3>(row_sh, r, k, writer); break;
      }
    }
  }
}

// 1 / root of the mean square of a group. Of its parts, WIDEST / PART at most, sums of squares are in shared memory.
inline __device__ float norm_scale(const float* squares_sh, int parts, float epsilon) {
  static_assert(WIDEST / PART <= 2 * WARP, "two a lane");
  const int lane = threadIdx.x % WARP;
  float sum = lane < parts ? squares_sh[lane] : 0;
  if (lane + WARP < parts) sum += squares_sh[lane + WARP];
  return rsqrtf(warp_sum(sum) * inverse_near(static_cast<float>(parts * PART)) + epsilon);
}

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
      });
      sync_first<THREADS>();
      int last = -1;
      float scale = 0;
      each([&](int u, int k, int) {
        if (group[u][k] != last) scale = norm_scale(squares_sh + group[u][k], group_parts, epsilon);
        last = group[u][k];
#pragma unroll
        for (int c = 0; c < FOUR; c++) gated[u][k].at[c] = gated[u][k].at[c] * scale * factors[u][k].raw(c);
      });
    }
    each([&](int u, int k, int) { mix_part(gated[u][k].at); });
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
    mix_units<ROW>(row_sh, writer);
  }
};

using Row1536 = Row<12, 12, 1>;
using Row2048 = Row<1, 16, 1>;
using Row3072 = Row<12, 12, 2>;
using Row3584 = Row<28, 28, 1>;
using Row4096 = Row<1, 32, 1>;
using Row5120 = Row<20, 20, 2, true>;
using Row7168 = Row<28, 28, 2>;
using Row8192 = Row<1, 32, 2>;

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
  if (gridDim.x > FEW) begin_next();
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
    if (row == static_cast<int>(blockIdx.x)) begin_next();
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
