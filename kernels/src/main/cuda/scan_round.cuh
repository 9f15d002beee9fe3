// The end of an interval of scan: H <- round(decay H + sum_j x_j (x) b_j), see scan_ring.cuh.
//
// The sum comes from tensor cores, sixteen rows of H by eight columns at a time. Numbers are cut into three parts of
// bf16 whose sum they are, codes of b are bf16 as they are: so products are exact and sums are in f32. Lane (g, c) =
// (l / 4, l % 4) holds 32 elements of each of the rows g and g + 8, those of 16 bytes and every 64 bytes on; column
// 2 c + e of product t is where its element 2 t + e lies.
#pragma once
#include <cuda_bf16.h>

#include "scan_ring.cuh"

constexpr int TILE_ROWS = 16;
constexpr int TILES = HEAD_DIM / TILE_ROWS;
constexpr int PRODUCTS = STATE_DIM / 8;
constexpr int RUN = STATE_DIM / 4;  // elements of a lane in a row
constexpr int SPLIT = 3;            // parts of a number

// Where element i of the lanes of c lies in a row; its neighbours up to 16 bytes follow.
template <class State>
__device__ int run_column(int c, int i) {
  constexpr int NEAR = 16 / sizeof(typename State::Element);
  return i / NEAR * 4 * NEAR + c * NEAR + i % NEAR;
}

// b of an interval as the second operands of the products, in shared memory.
template <class Element>
struct IntervalB {
  static constexpr int PARTS = sizeof(Element) == 1 ? 1 : SPLIT;
  uint2 operand[PARTS][PRODUCTS][WARP];
};

// x of an interval and one head, weighted for H; padded so that the lanes' reads do not conflict.
using IntervalX = float[INTERVAL][HEAD_DIM + 4];

// Two numbers as parts, the largest first.
inline __device__ void split(float first, float second, unsigned (&part)[SPLIT]) {
#pragma unroll
  for (int i = 0; i < SPLIT; i++) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(part[i]) : "f"(second), "f"(first));
    first -= __uint_as_float(part[i] << 16);
    second -= __uint_as_float(part[i] & 0xffff0000u);
  }
}

template <bool ALIGNED>
__device__ void load_eight(const signed char* from, float (&to)[8]) {
  const uint2 codes = load_codes<ALIGNED>(from);
  widen(codes.x, to), widen(codes.y, to + 4);
}

template <bool ALIGNED>
__device__ void load_eight(const float* from, float (&to)[8]) {
  const float4 low = load_numbers<ALIGNED>(from);
  const float4 high = load_numbers<ALIGNED>(from + 4);
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

// Fills b_sh from the entries at(j) with all threads of a block of four warps: a warp has four of the products.
template <class State, bool ALIGNED, class Element, class At>
__device__ void put_b(IntervalB<Element>& b_sh, At at) {
  const int lane = threadIdx.x % WARP;
  const int g = lane / 4;
  const int entry = lane % 4 * 2;
  const int first = threadIdx.x / WARP * (PRODUCTS / 4);
  const int column = run_column<State>(g / 2, first * 2);
  float value[4][8];
#pragma unroll
  for (int i = 0; i < 4; i++) load_eight<ALIGNED>(at(entry + i % 2 + i / 2 * 8) + column, value[i]);
#pragma unroll
  for (int t = 0; t < PRODUCTS / 4; t++) {
    float own[4];
#pragma unroll
    for (int i = 0; i < 4; i++) own[i] = g % 2 == 0 ? value[i][2 * t] : value[i][2 * t + 1];
    unsigned low[SPLIT];
    unsigned high[SPLIT];
    split(own[0], own[1], low);
    split(own[2], own[3], high);
#pragma unroll
    for (int part = 0; part < IntervalB<Element>::PARTS; part++) {
      b_sh.operand[part][first + t][lane] = {low[part], high[part]};
    }
  }
}

inline __device__ void multiply(float (&sums)[4], const unsigned (&a)[4], uint2 b) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
}

constexpr float INTEGERS = 0x1.8p23f;  // added, it rounds to an integer, ties to even, in the low bits of the sum

inline __device__ unsigned low_bytes(float a, float b, float c, float d) {
  const unsigned low = __byte_perm(__float_as_uint(a), __float_as_uint(b), 0x0040);
  const unsigned high = __byte_perm(__float_as_uint(c), __float_as_uint(d), 0x0040);
  return __byte_perm(low, high, 0x5410);
}

// ---------------------------------------------------------------- runs of a row, 32 elements in a lane

// sums[t][2 half + e] is element 2 t + e of the run in row g + 8 half.
using Sums = float[PRODUCTS][4];

// The two runs of a lane in a tile, as they lie in memory.
template <class State>
struct Runs {
  static constexpr int NEAR = 16 / sizeof(typename State::Element);
  static constexpr int PIECES = RUN / NEAR;
  uint4 piece[2][PIECES];
  float row_scale[2];

  // state, row_scales: of the head.
  __device__ void load(const typename State::Element* state, const float* row_scales, int tile) {
    const int row = tile * TILE_ROWS + threadIdx.x % WARP / 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
#pragma unroll
      for (int i = 0; i < PIECES; i++) {
        const int at = (row + half * 8) * STATE_DIM + run_column<State>(threadIdx.x % 4, i * NEAR);
        piece[half][i] = *reinterpret_cast<const uint4*>(state + at);
      }
      row_scale[half] = State::ROW_SCALES ? row_scales[row + half * 8] : 1;
    }
  }
};

inline __device__ void widen_piece(RowState, uint4 codes, float (&value)[16]) {
  widen(codes.x, value), widen(codes.y, value + 4), widen(codes.z, value + 8), widen(codes.w, value + 12);
}

inline __device__ void widen_piece(HalfState, uint4 halves, float (&value)[8]) {
  HalfState::halves(halves.x, value), HalfState::halves(halves.y, value + 2);
  HalfState::halves(halves.z, value + 4), HalfState::halves(halves.w, value + 6);
}

inline __device__ float held_code(float value, float scale) {
  return fminf(fmaxf(value / scale, -128.0f), 127.0f) + INTEGERS;
}

inline __device__ unsigned held_halves(float first, float second) {
  constexpr float HIGHEST = 65504;
  const __half2 two =
      __floats2half2_rn(fminf(fmaxf(first, -HIGHEST), HIGHEST), fminf(fmaxf(second, -HIGHEST), HIGHEST));
  return *reinterpret_cast<const unsigned*>(&two);
}

// Four words of codes or halves: elements of the run from PIECE * NEAR on. scales: of the row's elements.
inline __device__ uint4 narrow(StaticState, const float* scales, const Sums& sums, int half, int piece) {
  unsigned word[4];
#pragma unroll
  for (int k = 0; k < 4; k++) {
    const int t = piece * 8 + k * 2;
    const float4 scale =
        *reinterpret_cast<const float4*>(scales + run_column<StaticState>(threadIdx.x % 4, 2 * t));
    word[k] = low_bytes(held_code(sums[t][half * 2], scale.x), held_code(sums[t][half * 2 + 1], scale.y),
                        held_code(sums[t + 1][half * 2], scale.z), held_code(sums[t + 1][half * 2 + 1], scale.w));
  }
  return {word[0], word[1], word[2], word[3]};
}

inline __device__ uint4 narrow(RowState, float inverse, const Sums& sums, int half, int piece) {
  unsigned word[4];
#pragma unroll
  for (int k = 0; k < 4; k++) {
    const int t = piece * 8 + k * 2;
    word[k] = low_bytes(
        fmaf(sums[t][half * 2], inverse, INTEGERS), fmaf(sums[t][half * 2 + 1], inverse, INTEGERS),
        fmaf(sums[t + 1][half * 2], inverse, INTEGERS), fmaf(sums[t + 1][half * 2 + 1], inverse, INTEGERS));
  }
  return {word[0], word[1], word[2], word[3]};
}

inline __device__ uint4 narrow(HalfState, const float*, const Sums& sums, int half, int piece) {
  unsigned word[4];
#pragma unroll
  for (int k = 0; k < 4; k++) {
    word[k] = held_halves(sums[piece * 4 + k][half * 2], sums[piece * 4 + k][half * 2 + 1]);
  }
  return {word[0], word[1], word[2], word[3]};
}

constexpr float MOST = 127;
constexpr float SMALLEST_NORMAL = 0x1p-126f;

// The scale of a row of codes, the same in its four lanes; 0 where it would not be a normal number.
inline __device__ float scale_for(const Sums& sums, int half) {
  float most = 0;
#pragma unroll
  for (int t = 0; t < PRODUCTS; t++) most = fmaxf(most, fmaxf(fabsf(sums[t][half * 2]), fabsf(sums[t][half * 2 + 1])));
  most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 1));
  most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 2));
  const float scale = most / MOST;
  return scale < SMALLEST_NORMAL ? 0 : scale;
}

// ---------------------------------------------------------------- one warp, some tiles of rows

// Rounds tiles first ... end - 1. state, row_scales, element_scales: of the head; the first two are updated.
template <class State, class Element>
__device__ void round_tiles(typename State::Element* state, float* row_scales, const float* element_scales, float decay,
                            bool fresh, const IntervalB<Element>& b_sh, const IntervalX& x_sh, int first, int end) {
  const int lane = threadIdx.x % WARP;
  const int entry = lane % 4 * 2;
  using R = Runs<State>;
#pragma unroll 1
  for (int tile = first; tile < end; tile++) {
    const int row = tile * TILE_ROWS + lane / 4;
    Sums sums = {};
    if (!fresh) {
      R next;
      next.load(state, row_scales, tile);
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float factor = decay * next.row_scale[half];
#pragma unroll
        for (int i = 0; i < R::PIECES; i++) {
          float value[R::NEAR];
          widen_piece(State{}, next.piece[half][i], value);
#pragma unroll
          for (int k = 0; k < R::NEAR; k++) {
            if (State::ELEMENT_SCALES) {
              value[k] *= element_scales[(row + half * 8) * STATE_DIM + run_column<State>(lane % 4, i * R::NEAR + k)];
            }
            sums[(i * R::NEAR + k) / 2][half * 2 + k % 2] = value[k] * factor;
          }
        }
      }
    }
    unsigned x[SPLIT][4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int from = row + i % 2 * 8;
      unsigned part[SPLIT];
      split(x_sh[entry + i / 2 * 8][from], x_sh[entry + i / 2 * 8 + 1][from], part);
#pragma unroll
      for (int k = 0; k < SPLIT; k++) x[k][i] = part[k];
    }
    // Smallest products first; what is left out is below 2^-24 of the largest. The sums take turns, as a product waits
    // for the one before on its sum.
#pragma unroll
    for (int order = SPLIT - 1; order >= 0; order--) {
#pragma unroll
      for (int part = 0; part < IntervalB<Element>::PARTS; part++) {
#pragma unroll
        for (int t = 0; t < PRODUCTS; t++) {
          if (part <= order) multiply(sums[t], x[order - part], b_sh.operand[part][t][lane]);
        }
      }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int at = (row + half * 8) * STATE_DIM;
      float scale = 1;
      if constexpr (State::ROW_SCALES) scale = scale_for(sums, half);
      const float inverse = scale == 0 ? 0 : 1 / scale;
#pragma unroll
      for (int i = 0; i < R::PIECES; i++) {
        uint4 piece;
        if constexpr (State::ROW_SCALES) {
          piece = narrow(State{}, inverse, sums, half, i);
        } else {
          piece = narrow(State{}, element_scales + at, sums, half, i);
        }
        *reinterpret_cast<uint4*>(state + at + run_column<State>(lane % 4, i * R::NEAR)) = piece;
      }
      if (State::ROW_SCALES && lane % 4 == 0) row_scales[row + half * 8] = scale;
    }
  }
}
