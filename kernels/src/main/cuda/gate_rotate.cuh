// Gates that are rotated: what their kernels have in common. Holds no entry point.
//
// out = H g / sqrt(inner_dim). A lane has 4 neighbours of a part of 128 columns, in registers up to the inner 7 levels
// of S; then come a norm's scale and the rest of H, which mixes what lies parts apart. Products are never fused with a
// sum that follows, so all kernels give the same bits.
#pragma once
#include "gate.cuh"
#include "hadamard.cuh"

constexpr int PART = WARP * FOUR;
constexpr int WIDEST = 8192;
constexpr int QUARTERS = 4;  // of the units, which threads mix

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

// Writes results of column r of the block's in a part, scaled by factor or by how many codes it stands for.
template <typename T>
struct Writer {
  const Results<T>& out;
  T* to;
  int first;  // of the block's columns of a part
  float factor;
  float codes;

  __device__ Writer(const Results<T>& out, T* to, int first, float factor, float common)
      : out(out), to(to), first(first), factor(factor), codes(factor / common) {}
  __device__ void put(int part, int r, float value) const {
    const int column = part * PART + first + r;
    if constexpr (sizeof(T) == 1) {
      to[column] = away(__fmul_rn(value, out.step == 0 ? codes : codes_of(factor, out.scale + column)));
    } else {
      to[column] = value * factor;
    }
  }
};

// Column r of part k of the units, of parts of WIDTH columns: a quarter of B's rows.
template <class ROW, int WIDTH, int QUARTER, class W>
__device__ void mix_by_base(const float* row_sh, int r, int k, const W& writer) {
  constexpr int ROWS = ROW::COUNT / QUARTERS;
  float sums[ROWS] = {};
#pragma unroll
  for (int unit = 0; unit < ROW::COUNT; unit += FOUR) {
    float x[FOUR];
#pragma unroll
    for (int i = 0; i < FOUR; i++) x[i] = row_sh[ROW::part(unit + i, k) * WIDTH + r];
    mix_four<ROW::BASE, QUARTER * ROWS>(x, unit, sums);
  }
#pragma unroll
  for (int row = 0; row < ROWS; row++) writer.put(ROW::part(QUARTER * ROWS + row, k), r, sums[row]);
}

// The units of WIDTH columns of a row's parts in shared memory, mixed and written by the first THREADS threads.
template <class ROW, int WIDTH, int THREADS, class W>
__device__ void mix_units(float* row_sh, const W& writer) {
  constexpr int ALL = QUARTERS * ROW::EACH;
  const int r = threadIdx.x % WIDTH;
  const int first = threadIdx.x / WIDTH;
  if constexpr (ROW::BASE == 1) {
    constexpr int RUN = ROW::COUNT / QUARTERS;
#pragma unroll 1
    for (int i = first; i < ALL; i += THREADS / WIDTH) {
      float* at = row_sh + ROW::part(i % QUARTERS * RUN, i / QUARTERS) * WIDTH + r;
      float x[RUN];
#pragma unroll
      for (int u = 0; u < RUN; u++) x[u] = at[ROW::part(u, 0) * WIDTH];
      mix_few(x);
#pragma unroll
      for (int u = 0; u < RUN; u++) at[ROW::part(u, 0) * WIDTH] = x[u];
    }
    sync_first<THREADS>();
#pragma unroll 1
    for (int i = first; i < ALL; i += THREADS / WIDTH) {
#pragma unroll
      for (int u = 0; u < RUN; u += QUARTERS) {
        const int part = ROW::part(i % QUARTERS + u, i / QUARTERS);
        float x[QUARTERS];
#pragma unroll
        for (int q = 0; q < QUARTERS; q++) x[q] = row_sh[(part + ROW::part(q * RUN, 0)) * WIDTH + r];
        mix_few(x);
#pragma unroll
        for (int q = 0; q < QUARTERS; q++) writer.put(part + ROW::part(q * RUN, 0), r, x[q]);
      }
    }
  } else {
#pragma unroll 1
    for (int i = first; i < ALL; i += THREADS / WIDTH) {
      const int k = i / QUARTERS;
      switch (i % QUARTERS) {
        case 0: mix_by_base<ROW, WIDTH, 0>(row_sh, r, k, writer); break;
        case 1: mix_by_base<ROW, WIDTH, 1>(row_sh, r, k, writer); break;
        case 2: mix_by_base<ROW, WIDTH, 2>(row_sh, r, k, writer); break;
        default: mix_by_base<ROW, WIDTH, 3>(row_sh, r, k, writer); break;
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

using Row1536 = Row<12, 12, 1>;
using Row2048 = Row<1, 16, 1>;
using Row3072 = Row<12, 12, 2>;
using Row3584 = Row<28, 28, 1>;
using Row4096 = Row<1, 32, 1>;
using Row5120 = Row<20, 20, 2, true>;
using Row7168 = Row<28, 28, 2>;
using Row8192 = Row<1, 32, 2>;

// Calls run with the Row of so many columns.
template <class Run>
__device__ void run_row(int inner_dim, const Run& run) {
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
