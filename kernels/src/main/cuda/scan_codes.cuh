// scan_chunk for codes and a row-scaled state; formulas and the order of sums are those of scan_ring.cuh.
//
// H stays in registers from one interval to the next. A warp has a tile of sixteen of the head's channels; lane
// (g, c) = (l / 4, l % 4) has channels 2 g and 2 g + 1 of them, of either the 32 elements that scan_round.cuh gives it:
// a run. The eight words of both runs are, as they are, first operands of products of codes, if the second come in runs
// too, as sums of integers allow any order. The same lane has y of its channels for tokens 2 c, 2 c + 1, 2 c + 8 and
// 2 c + 9.
//
// An interval has two stages with a barrier before each. The first reads the interval's codes, which lie in shared
// memory: products with C, factors, operands. The second has y and the new H, while the next codes are copied.
#pragma once
#include <type_traits>

#include "matrix.cuh"
#include "scan_ring.cuh"
#include "scan_round.cuh"

// ---------------------------------------------------------------- shared memory

constexpr int CODES_WARPS = TILES;
constexpr int CODES_THREADS = CODES_WARPS * WARP;
constexpr int RUN_WORDS = RUN / 4;
constexpr int COLUMNS = 8;  // of a product: tokens
constexpr int HALVES = INTERVAL / COLUMNS;
constexpr int WEIGHED = 2 * CODES_WARPS;  // intervals whose weights are computed at once

// Of an interval: [i][j] = w_j dt_j, [i][INTERVAL] is that of H with the scale of C; [INTERVAL] are those in the new H.
// Rows here and below are padded so that the lanes' accesses do not conflict.
using Weights = float[INTERVAL + 1][INTERVAL + 4];

struct CodesChunk {
  alignas(16) signed char b[INTERVAL * STATE_DIM];  // of entries, pieces of 16 bytes exchanged as run_at() says
  alignas(16) signed char c[INTERVAL * STATE_DIM];
  alignas(16) signed char x[INTERVAL][HEAD_DIM + 16];
  uint4 operand[PRODUCTS / 2][WARP];                  // b as second operands, of two neighbouring products
  float4 x_values[CODES_WARPS][8][INTERVAL / 2 + 1];  // of a lane's channels and two entries
  float factors[INTERVAL][INTERVAL + 4];              // of x_j in y_i, 0 for j > i
  Weights weights[WEIGHED];
};

// Where piece `piece` of an entry's b or c lies.
inline __device__ int run_at(int entry, int piece) {
  return entry * STATE_DIM + (piece ^ (entry % 2 * 4 + entry / 2 % 4)) * 16;
}

// Copies of codes to shared memory, at once as many as rows are aligned to; eight, one by one, if they are not.
template <int ALIGNMENT>
struct Copy {
  static constexpr int BYTES = ALIGNMENT == 1 ? 8 : ALIGNMENT;

  static __device__ void start(signed char* to_sh, const signed char* from) {
    if (ALIGNMENT == 16) {
      copy_piece(shared_address(to_sh), from, 16);
    } else if (ALIGNMENT == 8) {
      asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(shared_address(to_sh)), "l"(from) : "memory");
    } else {
      *reinterpret_cast<uint2*>(to_sh) = load_codes<false>(from);
    }
  }
};

inline __device__ void unpack(uint4 piece, int* words) {
  words[0] = piece.x, words[1] = piece.y, words[2] = piece.z, words[3] = piece.w;
}

// The run of a lane in the row of entry l / 4, or of the one 8 further, of b or c.
struct RunOfEntry {
  int word[RUN_WORDS];

  __device__ RunOfEntry(const signed char* rows, int half) {
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const signed char* row = rows + half * COLUMNS * STATE_DIM;
      unpack(*reinterpret_cast<const uint4*>(row + run_at(lane / 4, i * 4 + lane % 4)), word + 4 * i);
    }
  }
};

// ---------------------------------------------------------------- what all warps need

// The weights of a warp's two of WEIGHED intervals. base: the token of entry 0 of the first, were it in this call.
inline __device__ void put_weights(Weights* weights, const Heads& heads, const Inputs<signed char>& in,
                                   const float* steps, int head, int base, int first_token, int tokens_end,
                                   float b_scale, float c_scale) {
  const int interval = threadIdx.x / INTERVAL;
  const int j = threadIdx.x % INTERVAL;
  const int token = base + interval * INTERVAL + j;
  float dt = 0;
  if (token < first_token) dt = steps[j];
  if (token >= first_token && token < tokens_end) dt = heads.step(in, token, head);
  const float decay = expf(dt * heads.a[head]);
  // The last entry's own decay is 1: its lane takes that of H.
  const bool last = j == INTERVAL - 1;
  const int column = last ? INTERVAL : j;
  const float own = last ? c_scale : dt;
  Weights& to = weights[interval];
  float until = 1;
#pragma unroll
  for (int i = 0; i < INTERVAL; i++) {
    const float factor = __shfl_sync(ALL_LANES, decay, i, INTERVAL);
    if (last || i > j) until *= factor;
    to[i][column] = until * own;
  }
  to[INTERVAL][column] = last ? until : until * own * b_scale;
  if (last) to[INTERVAL - 1][j] = dt, to[INTERVAL][j] = dt * b_scale;
}

// The factors of the tokens of a half, by one warp.
inline __device__ void put_factors(CodesChunk& sh, const Weights& weights, int half, float scale, float skip) {
  const int lane = threadIdx.x % WARP;
  const RunOfEntry low(sh.b, 0);
  const RunOfEntry high(sh.b, 1);
  const RunOfEntry tokens(sh.c, half);
  int sums[4] = {};
#pragma unroll
  for (int k = 0; k < RUN_WORDS; k += 2) {
    const int rows[4] = {low.word[k], high.word[k], low.word[k + 1], high.word[k + 1]};
    add_product(sums, rows, tokens.word[k], tokens.word[k + 1]);
  }
#pragma unroll
  for (int n = 0; n < 4; n++) {
    const int i = half * COLUMNS + lane % 4 * 2 + n % 2;
    const int j = n / 2 * 8 + lane / 4;
    // Zeros do not change a sum: of codes times factors, it is never -0.
    sh.factors[i][j] = i < j ? 0 : fmaf(weights[i][j], static_cast<float>(sums[n]) * scale, i == j ? skip : 0);
  }
}

// The codes in bytes 0 and 2 as bf16: 128 + the low seven bits, less 128 or, where the highest bit stands, 256.
inline __device__ unsigned narrow_two(unsigned codes) {
  constexpr unsigned ONES = 0x43004300u;  // 128, whose ones are the lowest bits
  const unsigned low = and_or(codes, 0x007f007fu, ONES);
  const unsigned less = and_or(codes, 0x00800080u, ONES);
  const __nv_bfloat162 value =
      __hsub2(*reinterpret_cast<const __nv_bfloat162*>(&low), *reinterpret_cast<const __nv_bfloat162*>(&less));
  return *reinterpret_cast<const unsigned*>(&value);
}

// Half of the operands, by one warp.
inline __device__ void put_operands(CodesChunk& sh, int half) {
  const int lane = threadIdx.x % WARP;
  const int g = lane / 4;
  const int entry = lane % 4 * 2;
  int word[4][4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    unpack(*reinterpret_cast<const uint4*>(sh.b + run_at(entry + i % 2 + i / 2 * 8, half * 4 + g / 2)), word[i]);
  }
  const unsigned chosen = g % 2 == 0 ? 0x6420 : 0x7531;  // every other byte of two words
#pragma unroll
  for (int k = 0; k < 4; k++) {
    const unsigned low = __byte_perm(word[0][k], word[1][k], chosen);
    const unsigned high = __byte_perm(word[2][k], word[3][k], chosen);
    sh.operand[half * 4 + k][lane] = {narrow_two(low), narrow_two(high), narrow_two(low >> 8), narrow_two(high >> 8)};
  }
}

// ---------------------------------------------------------------- what a lane has of x

// Of its two channels, and of the four entries that products have in it: 2 c, 2 c + 1, 2 c + 8, 2 c + 9.
struct OwnX {
  float value[4][2];

  // Also leaves the warp's values in shared memory.
  __device__ explicit OwnX(CodesChunk& sh) {
    const int warp = threadIdx.x / WARP;
    const int g = threadIdx.x % WARP / 4;
    const int c = threadIdx.x % 4;
#pragma unroll
    for (int k = 0; k < 4; k++) {
      Pair<signed char> pair;
      pair.load<true>(&sh.x[2 * c + k % 2 + k / 2 * 8][warp * TILE_ROWS + 2 * g]);
      const float2 two = pair.values();
      value[k][0] = two.x, value[k][1] = two.y;
    }
#pragma unroll
    for (int k = 0; k < 4; k += 2) {
      sh.x_values[warp][g][2 * k + c] = {value[k][0], value[k][1], value[k + 1][0], value[k + 1][1]};
    }
  }

  // As first operands of products, weighted for H.
  __device__ void weigh(unsigned (&parts)[SPLIT][4], const float (&scale)[2], const Weights& weights) const {
#pragma unroll
    for (int k = 0; k < 2; k++) {
      const float2 weight = *reinterpret_cast<const float2*>(&weights[INTERVAL][threadIdx.x % 4 * 2 + 8 * k]);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        // Rounded before they are split: not fused with the differences there.
        const float first = __fmul_rn(value[2 * k][h] * scale[h], weight.x);
        const float second = __fmul_rn(value[2 * k + 1][h] * scale[h], weight.y);
        unsigned part[SPLIT];
        split(first, second, part);
#pragma unroll
        for (int order = 0; order < SPLIT; order++) parts[order][2 * k + h] = part[order];
      }
    }
  }
};

// sums[half][e][h], of token 8 half + 2 c + e and channel h: sum_j factors x_j.
inline __device__ void add_inputs(float (&sums)[HALVES][2][2], const CodesChunk& sh) {
  const float4* values = sh.x_values[threadIdx.x / WARP][threadIdx.x % WARP / 4];
#pragma unroll
  for (int j = 0; j < INTERVAL; j += 4) {
    const float4 low = values[j / 2];
    const float4 high = values[j / 2 + 1];
#pragma unroll
    for (int half = j / COLUMNS; half < HALVES; half++) {
#pragma unroll
      for (int e = 0; e < 2; e++) {
        const int i = half * COLUMNS + threadIdx.x % 4 * 2 + e;
        const float4 factor = *reinterpret_cast<const float4*>(&sh.factors[i][j]);
        float(&own)[2] = sums[half][e];
        own[0] = fmaf(factor.x, low.x, own[0]), own[1] = fmaf(factor.x, low.y, own[1]);
        own[0] = fmaf(factor.y, low.z, own[0]), own[1] = fmaf(factor.y, low.w, own[1]);
        own[0] = fmaf(factor.z, high.x, own[0]), own[1] = fmaf(factor.z, high.y, own[1]);
        own[0] = fmaf(factor.w, high.z, own[0]), own[1] = fmaf(factor.w, high.w, own[1]);
      }
    }
  }
}

// ---------------------------------------------------------------- a tile of H

struct HeldTile {
  static constexpr int AT_ONCE = 2;  // words of a run whose sums are under way

  int codes[2][RUN_WORDS];
  float scale[2];

  // state, row_scales: from the lane's first channel on.
  __device__ void load(const signed char* state, const float* row_scales, bool fresh) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
#pragma unroll
      for (int i = 0; i < 2; i++) {
        uint4 piece = {0, 0, 0, 0};
        const int at = h * STATE_DIM + run_column<RowState>(threadIdx.x % 4, i * 16);
        if (!fresh) piece = *reinterpret_cast<const uint4*>(state + at);
        unpack(piece, codes[h] + 4 * i);
      }
      scale[h] = fresh ? 1 : row_scales[h];
    }
  }
  __device__ void store(signed char* state, float* row_scales) const {
#pragma unroll
    for (int h = 0; h < 2; h++) {
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int at = h * STATE_DIM + run_column<RowState>(threadIdx.x % 4, i * 16);
        const int* word = codes[h] + 4 * i;
        *reinterpret_cast<int4*>(state + at) = {word[0], word[1], word[2], word[3]};
      }
      if (threadIdx.x % 4 == 0) row_scales[h] = scale[h];
    }
  }

  // dots[half][2 h + e], of channel h and token 8 half + 2 c + e: H C without scales.
  __device__ void dot(int (&dots)[HALVES][4], const signed char* c_sh) const {
    const RunOfEntry tokens[HALVES] = {{c_sh, 0}, {c_sh, 1}};
#pragma unroll
    for (int k = 0; k < RUN_WORDS; k += 2) {
      const int rows[4] = {codes[0][k], codes[1][k], codes[0][k + 1], codes[1][k + 1]};
#pragma unroll
      for (int half = 0; half < HALVES; half++) {
        add_product(dots[half], rows, tokens[half].word[k], tokens[half].word[k + 1]);
      }
    }
  }

  // The end of an interval, as round_tiles has it. x: parts of the weighted x; factor: of the codes.
  __device__ void round(const unsigned (&x)[SPLIT][4], const float (&factor)[2],
                        const uint4 (&operand)[PRODUCTS / 2][WARP]) {
    const int lane = threadIdx.x % WARP;
    Sums sums;
    float most[2] = {0, 0};
#pragma unroll
    for (int first = 0; first < RUN_WORDS; first += AT_ONCE) {
      uint4 b[AT_ONCE];
#pragma unroll
      for (int k = 0; k < AT_ONCE; k++) {
        b[k] = operand[first + k][lane];
#pragma unroll
        for (int h = 0; h < 2; h++) {
          float value[4];
          widen(codes[h][first + k], value);
#pragma unroll
          for (int e = 0; e < 4; e++) sums[2 * (first + k) + e / 2][2 * h + e % 2] = value[e] * factor[h];
        }
      }
#pragma unroll
      for (int order = SPLIT - 1; order >= 0; order--) {
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
          multiply(sums[2 * (first + k)], x[order], {b[k].x, b[k].y});
          multiply(sums[2 * (first + k) + 1], x[order], {b[k].z, b[k].w});
        }
      }
#pragma unroll
      for (int t = 2 * first; t < 2 * (first + AT_ONCE); t++) {
#pragma unroll
        for (int h = 0; h < 2; h++) most[h] = fmaxf(most[h], fmaxf(fabsf(sums[t][2 * h]), fabsf(sums[t][2 * h + 1])));
      }
    }
    // Each lane finds the scale of one channel, those of even c of the first.
    const bool odd = lane % 2;
    float own = fmaxf(odd ? most[1] : most[0], __shfl_xor_sync(ALL_LANES, odd ? most[0] : most[1], 1));
    own = fmaxf(own, __shfl_xor_sync(ALL_LANES, own, 2));
    // own / MOST and then 1 / own, for every float the bits of a division, without its branches.
    const float guess = own * (1 / MOST);
    const float quotient = fmaf(fmaf(guess, -MOST, own), 1 / MOST, guess);
    const bool is_finite = own < INFINITY;
    own = quotient < SMALLEST_NORMAL ? 0 : is_finite ? quotient : own;
    const float near = inverse_near(own);
    const float own_inverse = own > 0 && is_finite ? fmaf(fmaf(-own, near, 1.0f), near, near) : 0;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      scale[h] = __shfl_sync(ALL_LANES, own, (lane & ~1) + h);
      const float inverse = __shfl_sync(ALL_LANES, own_inverse, (lane & ~1) + h);
#pragma unroll
      for (int i = 0; i < 2; i++) unpack(narrow(RowState{}, inverse, sums, h, i), codes[h] + 4 * i);
    }
  }
};

// ---------------------------------------------------------------- the walk

// With CODES_THREADS; ALIGNMENT of x, b, c and their strides: 16, 8, or 1, with which out may lie anywhere, too.
template <int ALIGNMENT>
__device__ void walk_codes(CodesChunk& sh, const int* slots, const int* starts, const int* positions,
                           const Heads& heads, const Inputs<signed char>& in, signed char* states, int state_stride,
                           float* out, int out_stride) {
  const int head = blockIdx.x;
  const int first_token = starts[blockIdx.y];
  const int tokens_end = starts[blockIdx.y + 1];
  if (first_token == tokens_end) return;
  const int position = positions[blockIdx.y];
  const int group = head / heads.per_group;
  const int warp = threadIdx.x / WARP;
  const int c = threadIdx.x % 4;
  const Slot<RowState, signed char> slot(states, state_stride, slots[blockIdx.y], heads.count);
  signed char* xs = slot.xs + static_cast<size_t>(head) * HEAD_DIM * INTERVAL;
  const signed char* bs = slot.bs + group * INTERVAL * STATE_DIM;
  float* steps = slot.steps + head * INTERVAL;
  const float b_scale = in.b_scale[group * STATE_DIM * in.b_scale_step];
  const float c_scale = in.c_scale[group * STATE_DIM * in.c_scale_step];
  const int column = head * HEAD_DIM + warp * TILE_ROWS + threadIdx.x % WARP / 4 * 2;  // the lane's first channel
  const float x_scale[2] = {in.x_scale[column * in.x_scale_step], in.x_scale[(column + 1) * in.x_scale_step]};

  // Copies an interval's codes; with RING, those before first_token from there. Entries of no token get any codes.
  const auto copy = [&](int base, auto with_ring) {
    constexpr bool RING = decltype(with_ring)::value;
    const auto token_of = [&](int entry) {
      const int token = min(base + entry, tokens_end - 1);
      return static_cast<size_t>(RING ? max(token, first_token) : token);
    };
    const auto from = [&](int entry, const signed char* input, const signed char* kept) {
      return RING && base + entry < first_token ? kept : input;
    };
    constexpr int FEW = ALIGNMENT < 8 ? ALIGNMENT : 8;
    static_assert(CODES_THREADS == INTERVAL * HEAD_DIM / Copy<FEW>::BYTES, "a copy of x for each thread");
    const int x_entry = threadIdx.x / (HEAD_DIM / 8);
    const int x_piece = threadIdx.x % (HEAD_DIM / 8) * 8;
    const signed char* x = in.x + token_of(x_entry) * in.x_stride + head * HEAD_DIM;
    Copy<FEW>::start(&sh.x[x_entry][x_piece], from(x_entry, x, xs + x_entry * HEAD_DIM) + x_piece);
    constexpr int COPIES = STATE_DIM / Copy<ALIGNMENT>::BYTES;
#pragma unroll
    for (int i = 0; i < INTERVAL * COPIES / CODES_THREADS; i++) {
      const int entry = threadIdx.x / COPIES + i * (CODES_THREADS / COPIES);
      const int piece = threadIdx.x % COPIES * Copy<ALIGNMENT>::BYTES;
      const int to = run_at(entry, piece / 16) + piece % 16;
      const signed char* b = in.b + token_of(entry) * in.b_stride + group * STATE_DIM;
      Copy<ALIGNMENT>::start(sh.b + to, from(entry, b, bs + entry * STATE_DIM) + piece);
      Copy<ALIGNMENT>::start(sh.c + to, in.c + token_of(entry) * in.c_stride + group * STATE_DIM + piece);
    }
    end_copies();
  };

  int base = first_token - position % INTERVAL;  // token of entry 0, were it in this call
  bool fresh = position < INTERVAL;
  const bool rounds = base + INTERVAL <= tokens_end;
  copy(base, std::true_type());
  HeldTile held;
  held.load(slot.state + static_cast<size_t>(column) * STATE_DIM, slot.scales + column, fresh);

  for (int turn = 0;; turn++) {
    const bool open = base + INTERVAL > tokens_end;  // when the call ends
    const Weights& weights = sh.weights[turn % WEIGHED];
    await_copies<0>();
    __syncthreads();
    if (turn % WEIGHED == 0) {
      put_weights(sh.weights, heads, in, steps, head, base, first_token, tokens_end, b_scale, c_scale);
      __syncthreads();
    }

    int held_dots[HALVES][4] = {};
    held.dot(held_dots, sh.c);
    if (warp < HALVES) {
      put_factors(sh, weights, warp, b_scale * c_scale, heads.skip[head]);
    } else {
      put_operands(sh, warp - HALVES);
    }
    const OwnX x(sh);
    if (open) {
      // The ring; what was there of the first interval has been read.
      const int own_token = base + static_cast<int>(threadIdx.x);
      if (own_token >= first_token && own_token < tokens_end) steps[threadIdx.x] = weights[threadIdx.x][threadIdx.x];
      const int entry = threadIdx.x / (HEAD_DIM / 8);
      const int piece = threadIdx.x % (HEAD_DIM / 8) * 8;
      if (base + entry >= first_token && base + entry < tokens_end) {
        *reinterpret_cast<uint2*>(xs + entry * HEAD_DIM + piece) = *reinterpret_cast<const uint2*>(&sh.x[entry][piece]);
      }
    }
    __syncthreads();

    if (base + INTERVAL < tokens_end) copy(base + INTERVAL, std::false_type());
    float y[HALVES][2][2] = {};
    add_inputs(y, sh);
#pragma unroll
    for (int half = 0; half < HALVES; half++) {
#pragma unroll
      for (int e = 0; e < 2; e++) {
        const float state_scale = weights[half * COLUMNS + 2 * c + e][INTERVAL];
#pragma unroll
        for (int h = 0; h < 2; h++) {
          y[half][e][h] = fmaf(static_cast<float>(held_dots[half][2 * h + e]), state_scale * held.scale[h],
                               y[half][e][h] * x_scale[h]);
        }
      }
    }
    const bool whole = base >= first_token && !open;
    float* own_out = out + static_cast<ptrdiff_t>(base + 2 * c) * out_stride + column;
#pragma unroll
    for (int half = 0; half < HALVES; half++) {
#pragma unroll
      for (int e = 0; e < 2; e++) {
        const int later = half * COLUMNS + e;
        const int token = base + 2 * c + later;
        float* to = own_out + static_cast<ptrdiff_t>(later) * out_stride;
        if (whole || (token >= first_token && token < tokens_end)) {
          if (ALIGNMENT > 1) {
            *reinterpret_cast<float2*>(to) = {y[half][e][0], y[half][e][1]};
          } else {
            to[0] = y[half][e][0], to[1] = y[half][e][1];
          }
        }
      }
    }
    if (open) break;
    unsigned parts[SPLIT][4];
    x.weigh(parts, x_scale, weights);
    const float decay = weights[INTERVAL][INTERVAL];
    const float factor[2] = {fresh ? 0 : decay * held.scale[0], fresh ? 0 : decay * held.scale[1]};
    held.round(parts, factor, sh.operand);
    fresh = false;
    base += INTERVAL;
    if (base == tokens_end) break;
  }
  if (rounds) held.store(slot.state + static_cast<size_t>(column) * STATE_DIM, slot.scales + column);
}
