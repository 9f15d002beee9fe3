// What gate_rotate.cu does with a row. Holds no entry point.
//
// A warp has parts of 128 columns, a lane 4 neighbours of each, in registers up to the inner 7 levels of S; the rest of H
// mixes what lies parts apart, in registers again, after one exchange through shared memory.
#pragma once
#include "gate.cuh"
#include "hadamard.cuh"

constexpr int GATE_THREADS = 256;
constexpr int GATE_WIDE_THREADS = 512;
constexpr int PART = WARP * FOUR;
constexpr int WIDEST = 7168;  // of GATE_THREADS
constexpr int WIDE = 8192;

inline __device__ void butterfly(float& a, float& b) {
  const float sum = a + b;
  b = a - b;
  a = sum;
}

// inner_dim = BASE * OUTER * HALVES * PART, element ((half * BASE + c) * OUTER + w) * PART + r; H mixes over c by B, over
// the others by S.
template <int OF_THREADS, int BASE_OF, int OUTER_OF, int HALVES_OF>
struct Row {
  static constexpr int THREADS = OF_THREADS;
  static constexpr int WARPS = THREADS / WARP;
  static constexpr int BASE = BASE_OF;
  static constexpr int OUTER = OUTER_OF;
  static constexpr int HALVES = HALVES_OF;
  static constexpr int PARTS = BASE * OUTER * HALVES;
  static constexpr int OWN = (PARTS + WARPS - 1) / WARPS;  // parts of a warp

  // A warp's parts: neighbours where S mixes them.
  static __device__ int part(int thread, int j) {
    const int warp = thread / WARP;
    return BASE == 1 ? warp * OWN + j : j * WARPS + warp;
  }
};

// What S mixes of four neighbours of each lane.
inline __device__ void mix_part(float (&x)[FOUR]) {
  butterfly(x[0], x[1]);
  butterfly(x[2], x[3]);
  butterfly(x[0], x[2]);
  butterfly(x[1], x[3]);
#pragma unroll
  for (int apart = 1; apart < WARP; apart *= 2) {
    const float sign = (threadIdx.x & apart) == 0 ? 1 : -1;
#pragma unroll
    for (int k = 0; k < FOUR; k++) x[k] = fmaf(sign, x[k], __shfl_xor_sync(ALL_LANES, x[k], apart));
  }
}

// Four terms of each of B's rows from FIRST on. Rows share the 8 sums that there are of them, but for the sign.
template <int BASE, int FIRST, int COUNT>
__device__ void mix_four(float a, float b, float c, float d, int column, float (&sums)[COUNT]) {
  const float ab = a + b;
  const float ab_apart = a - b;
  const float cd = c + d;
  const float cd_apart = c - d;
#pragma unroll
  for (int row = 0; row < COUNT; row++) {
    const unsigned signs = table_row<BASE>(FIRST + row) >> column;
    const float left = ((signs ^ signs >> 1) & 1) != 0 ? ab_apart : ab;
    const float right = ((signs >> 2 ^ signs >> 3) & 1) != 0 ? cd_apart : cd;
    const float both = ((signs ^ signs >> 2) & 1) != 0 ? left - right : left + right;
    sums[row] = (signs & 1) != 0 ? sums[row] + both : sums[row] - both;
  }
}

// Writes results to columns of a row: scaled by factor, or by how many codes it stands for.
template <typename T, typename To>
struct Writer {
  const Results<T>& out;
  To to;
  float factor;
  float codes;

  __device__ Writer(const Results<T>& out, To to, float factor) : out(out), to(to), factor(factor), codes(0) {
    if constexpr (sizeof(T) == 1) codes = factor / out.scale[0];
  }
  __device__ void put(int column, float value) const {
    if constexpr (sizeof(T) == 1) {
      to[column] = away(value * (out.step == 0 ? codes : factor / out.scale[column]));
    } else {
      to[column] = value * factor;
    }
  }
};

// Rows FIRST to FIRST + COUNT - 1 of B on column r, and of S what own chooses.
template <class ROW, int FIRST, int COUNT, class W>
__device__ void mix_column(const float* row_sh, int r, int own, const W& writer) {
  constexpr int BASE = ROW::BASE;
  constexpr int OUTER = ROW::OUTER;
  const float sign = own == 0 ? 1 : -1;
  float sums[COUNT] = {};
#pragma unroll
  for (int column = 0; column < BASE; column += FOUR) {
    float x[FOUR];
#pragma unroll
    for (int k = 0; k < FOUR; k++) {
      const float* at = row_sh + (column + k) * OUTER * PART + r;
      x[k] = at[0];
      if (OUTER == 2) x[k] = fmaf(sign, at[PART], x[k]);
      if (ROW::HALVES == 2) x[k] = fmaf(sign, at[BASE * PART], x[k]);
    }
    mix_four<BASE, FIRST, COUNT>(x[0], x[1], x[2], x[3], column, sums);
  }
#pragma unroll
  for (int row = 0; row < COUNT; row++) {
    writer.put(((own / OUTER * BASE + FIRST + row) * OUTER + own % OUTER) * PART + r, sums[row]);
  }
}

// The parts of a row in shared memory, mixed and written.
template <class ROW, class W>
__device__ void mix_parts(int thread, const float* row_sh, const W& writer) {
  constexpr int BASE = ROW::BASE;
  constexpr int WARPS = ROW::WARPS;
  if constexpr (BASE == 1) {
    for (int i = thread; i < ROW::OWN * PART; i += ROW::THREADS) {
      float x[WARPS];
#pragma unroll
      for (int k = 0; k < WARPS; k++) x[k] = row_sh[k * ROW::OWN * PART + i];
#pragma unroll
      for (int apart = 1; apart < WARPS; apart *= 2) {
#pragma unroll
        for (int k = 0; k < WARPS; k++) {
          if ((k & apart) == 0) butterfly(x[k], x[k + apart]);
        }
      }
#pragma unroll
      for (int k = 0; k < WARPS; k++) writer.put(k * ROW::OWN * PART + i, x[k]);
    }
  } else {
    static_assert(ROW::THREADS == 2 * PART && ROW::OUTER * ROW::HALVES <= 2, "two threads a column, or two columns");
    const int r = thread % PART;
    const int second = thread / PART;
    if constexpr (ROW::OUTER * ROW::HALVES == 2) {
      mix_column<ROW, 0, BASE>(row_sh, r, second, writer);
    } else if (second == 0) {
      mix_column<ROW, 0, BASE / 2>(row_sh, r, 0, writer);
    } else {
      mix_column<ROW, BASE / 2, BASE / 2>(row_sh, r, 0, writer);
    }
  }
}

// 1 / root of the mean square of a group, whose count sums of squares are in shared memory.
inline __device__ float norm_scale(const float* squares_sh, int count, int width, float epsilon) {
  float sum = 0;
  for (int i = threadIdx.x % WARP; i < count; i += WARP) sum += squares_sh[i];
  return 1 / sqrtf(warp_sum(sum) / width + epsilon);
}

// What a thread has of a row: of its parts, four columns each.
template <class ROW>
struct Own {
  // Factors of a norm that are read before its sums are known: as many as there are registers for.
  static constexpr int EARLY = ROW::OWN > 5 ? 0 : ROW::OWN;
  Gated gated[ROW::OWN];
  Four<float> factors[ROW::OWN];

  __device__ void read_factors(int thread, const float* weight) {
#pragma unroll
    for (int j = 0; j < EARLY; j++) {
      const int part = ROW::part(thread, j);
      factors[j] = {};
      if (part < ROW::PARTS) factors[j] = factor(weight, part);
    }
  }
  static __device__ Four<float> factor(const float* weight, int part) {
    return Four<float>::read<true>(weight + part * PART + threadIdx.x % WARP * FOUR, FOUR);
  }
};

// Norms what is gated, unless groups is 0, and rotates it, to `to`. By ROW::THREADS threads of a block, whole warps, that
// count themselves; nobody else of the block may be at sync_first.
template <class ROW, typename T, typename To>
__device__ void rotate_row(int thread, float* row_sh, float* squares_sh, Own<ROW>& all, const float* weight, int groups,
                           float epsilon, const Results<T>& out, To to, float factor) {
  constexpr int BASE = ROW::BASE;
  constexpr int OWN = ROW::OWN;
  constexpr int WARPS = ROW::WARPS;
  const int lane = thread % WARP;
  Gated(&own)[OWN] = all.gated;
  if (groups > 0) {
    const int parts = ROW::PARTS / groups;
    // A sum of squares a warp, where a warp's parts are of one group; or else a part.
    const bool whole = BASE == 1 ? parts % OWN == 0 : groups == 1;
    if (whole) {
      float squares = 0;
#pragma unroll
      for (int j = 0; j < OWN; j++) own[j].add_squares(squares);
      squares = warp_sum(squares);
      if (lane == 0) squares_sh[thread / WARP] = squares;
    } else {
#pragma unroll
      for (int j = 0; j < OWN; j++) {
        float squares = 0;
        own[j].add_squares(squares);
        squares = warp_sum(squares);
        if (lane == 0 && ROW::part(thread, j) < ROW::PARTS) squares_sh[ROW::part(thread, j)] = squares;
      }
    }
    sync_first<ROW::THREADS>();
    const int sums = whole ? WARPS / groups : parts;
    int group = -1;
    float scale = 0;
#pragma unroll
    for (int j = 0; j < OWN; j++) {
      const int part = ROW::part(thread, j);
      if (part < ROW::PARTS && part / parts != group) {
        group = part / parts;
        scale = norm_scale(squares_sh + group * sums, sums, parts * PART, epsilon);
      }
      if (j >= Own<ROW>::EARLY) all.factors[j] = Own<ROW>::factor(weight, part);
#pragma unroll
      for (int k = 0; k < FOUR; k++) own[j].at[k] = own[j].at[k] * scale * all.factors[j].raw(k);
    }
  }
#pragma unroll
  for (int j = 0; j < OWN; j++) mix_part(own[j].at);
  if constexpr (BASE == 1) {
#pragma unroll
    for (int apart = 1; apart < OWN; apart *= 2) {
#pragma unroll
      for (int j = 0; j < OWN; j++) {
        if ((j & apart) == 0) {
#pragma unroll
          for (int k = 0; k < FOUR; k++) butterfly(own[j].at[k], own[j + apart].at[k]);
        }
      }
    }
  }
#pragma unroll
  for (int j = 0; j < OWN; j++) {
    const int part = ROW::part(thread, j);
    const Four<float> four = {{own[j].at[0], own[j].at[1], own[j].at[2], own[j].at[3]}};
    if (part < ROW::PARTS) four.template write<true>(row_sh + part * PART + lane * FOUR, FOUR);
  }
  sync_first<ROW::THREADS>();
  mix_parts<ROW>(thread, row_sh, Writer<T, To>(out, to, factor));
}

using Row1536 = Row<GATE_THREADS, 12, 1, 1>;
using Row2048 = Row<GATE_THREADS, 1, 16, 1>;
using Row3072 = Row<GATE_THREADS, 12, 2, 1>;
using Row3584 = Row<GATE_THREADS, 28, 1, 1>;
using Row4096 = Row<GATE_THREADS, 1, 32, 1>;
using Row5120 = Row<GATE_THREADS, 20, 1, 2>;
using Row7168 = Row<GATE_THREADS, 28, 2, 1>;
using Row8192 = Row<GATE_WIDE_THREADS, 1, WIDE / PART, 1>;
