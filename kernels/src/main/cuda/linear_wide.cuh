// The tiles of linear_codes_wide.cu, and how a warp's sums of one become outputs. On sm_90 only (WARPGROUPS).
#pragma once
#include "linear_out.cuh"
#include "matrix.cuh"

#ifdef WARPGROUPS

constexpr int TILE_ROWS = 128;
constexpr int GROUP_TILES = 16;  // tiles of rows that are near in time, so that what they read stays in the L2 cache
constexpr int TAIL_COLUMNS = 128;
constexpr int CODE_COLUMNS = 64;  // that a warp stores at a time, of codes

// Outputs of a tile of the tail.
template <int COLUMNS>
constexpr int TAIL_OF = COLUMNS < TAIL_COLUMNS ? COLUMNS : TAIL_COLUMNS;

struct WideTile {
  int row, column;
  bool in_tail;
};

// The tiles of out, down a group of rows, then on to the next columns; then those of the tail.
template <int COLUMNS>
struct WideTiles {
  int down, across, count;

  __device__ WideTiles(int n, int out_dim, int tail_dim)
      : down((n + TILE_ROWS - 1) / TILE_ROWS), across((out_dim + COLUMNS - 1) / COLUMNS) {
    count = down * (across + (tail_dim + TAIL_OF<COLUMNS> - 1) / TAIL_OF<COLUMNS>);
  }

  __device__ WideTile at(int index) const {
    const bool in_tail = index >= down * across;
    int rest = in_tail ? index - down * across : index;
    int top = 0;
    int high = down;
    if (!in_tail && down > GROUP_TILES) {
      top = index / (GROUP_TILES * across) * GROUP_TILES;
      high = min(GROUP_TILES, down - top);
      rest -= top * across;
    }
    const int right = rest / high;
    return {(top + rest - right * high) * TILE_ROWS, right * (in_tail ? TAIL_OF<COLUMNS> : COLUMNS), in_tail};
  }
};

// What the outputs of a tile are multiplied by and divided by, a thread's share of it. Columns that do not exist have
// that of the last.
template <int COLUMNS>
struct WideScales {
  static constexpr int PITCH = (COLUMNS + CODE_COLUMNS - 1) / CODE_COLUMNS * CODE_COLUMNS;
  static constexpr int EACH = (COLUMNS + WARPGROUP - 1) / WARPGROUP;
  float row[EACH];
  float out[EACH];

  __device__ WideScales(const FloatRows&, const float* row_scale, int column, int out_dim) {
#pragma unroll
    for (int i = 0; i < EACH; i++) row[i] = row_scale[min(column + place(i), out_dim - 1)];
  }

  __device__ WideScales(const CodeRows& to, const float* row_scale, int column, int out_dim) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      const int at = min(column + place(i), out_dim - 1);
      row[i] = row_scale[at];
      out[i] = to.scale[at * to.step];
    }
  }

  // Puts them into shared memory: by PITCH those of rows, those of codes and their inverses. Returns whether all
  // codes of this share are below 2^22 before they are held, and none is NaN.
  __device__ bool share(const FloatRows&, float* scales_sh, float, int) const {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      if (place(i) < COLUMNS) scales_sh[place(i)] = row[i];
    }
    return true;
  }

  __device__ bool share(const CodeRows&, float* scales_sh, float x_scale, int in) const {
    constexpr float MOST = 128 * 128;  // of a product of codes
    bool usual = true;
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      const float inverse = inverse_of(out[i]);
      usual = usual && fabsf(row[i] * x_scale * inverse) * (MOST * in) < (1 << 22);
      usual = usual && fabsf(row[i]) * (MOST * in) < 1e38f;
      if (place(i) >= COLUMNS) continue;
      scales_sh[place(i)] = row[i];
      scales_sh[PITCH + place(i)] = out[i];
      scales_sh[2 * PITCH + place(i)] = inverse;
    }
    return usual;
  }

  static __device__ int place(int i) { return i * WARPGROUP + threadIdx.x % WARPGROUP; }
};

// Where a warp's sums go, and by what. Code comes from far and a block often has but one tile, so that a long epilogue
// would wait for its instructions: a short loop stores some columns a turn. They go by shared memory, 16 rows of them,
// so that the warp stores whole sectors.
struct WidePart {
  char* stage;
  const float* scales_sh;  // what WideScales puts there
  float x_scale;
  bool usual;  // what WideScales::share() returns, of all
  int row, rows;  // from `row` on, of which the warp has 16
  int column, columns;
};

// Brings the sums of turn `turn`, BY a turn, to the front: there a loop finds them in the same registers every turn.
// The number in an empty instruction keeps the compiler from indexing them, for which they would lie in memory.
template <int BY, int FIRST = BY, int COUNT>
__device__ void bring(int (&sums)[COUNT], int turn) {
  if constexpr (FIRST < COUNT) {
    if (turn * BY == FIRST) {
#pragma unroll
      for (int i = 0; i < BY && FIRST + i < COUNT; i++) {
        sums[i] = sums[FIRST + i];
        asm volatile("" : "+r"(sums[i]) : "n"(FIRST));
      }
    } else {
      bring<BY, FIRST + BY>(sums, turn);
    }
  }
}

// As f32.
template <int COLUMNS>
__device__ void store(int (&sums)[COLUMNS / 2], const FloatRows& out, const WidePart& part) {
  constexpr int FOUR = PIECE / sizeof(float);
  constexpr int WIDTH = CHUNK / sizeof(float);  // columns of a turn
  constexpr int ROWS_APART = WARP / PIECES;
  const int lane = threadIdx.x % WARP;
  const int place = lane % 4 * 2;
  // Neither who writes nor who reads pieces placed so has a conflict.
  const auto staged = [](int row, int piece) {
    return row * CHUNK + ((piece ^ (row % 4 * 2 + row / 4 % 2)) * PIECE);
  };
  const int stage_wr = staged(lane / 4, place / FOUR) + place % FOUR * sizeof(float);
  const int stage_rd = staged(lane / PIECES, lane % PIECES);
  const auto four_of = [&](int k) {  // of the lane's row, k rows further on
    return reinterpret_cast<const float4*>(part.stage + (stage_rd ^ k / ROWS_APART % 2 * PIECE) + k * CHUNK);
  };
  const int rows = part.rows - lane / PIECES;  // from the lane's first on
  const bool fours = (reinterpret_cast<uintptr_t>(out.at) | out.stride * sizeof(float)) % PIECE == 0;
  const float* scales = part.scales_sh + place;
  int left = part.columns - lane % PIECES * FOUR;  // from the lane's first on
  float* to = out.at + static_cast<size_t>(part.row + lane / PIECES) * out.stride + part.column + lane % PIECES * FOUR;
#pragma unroll 1
  for (int turn = 0; turn * WIDTH < part.columns; turn++) {
    bring<WIDTH / 2>(sums, turn);
    float2 scale[PIECES / 2];
#pragma unroll
    for (int j = 0; j < PIECES / 2; j++) scale[j] = *reinterpret_cast<const float2*>(scales + j * 8);
#pragma unroll
    for (int j = 0; j < PIECES / 2; j++) {
#pragma unroll
      for (int r = 0; r < 2; r++) {
        const int at = j * 4 + r * 2;
        *reinterpret_cast<float2*>(part.stage + (stage_wr ^ j * 2 * PIECE) + r * 8 * CHUNK) = {
            scaled_sum(sums[at], scale[j].x, part.x_scale), scaled_sum(sums[at + 1], scale[j].y, part.x_scale)};
      }
    }
    __syncwarp();
    const bool whole = fours && left >= FOUR;
#pragma unroll
    for (int k = 0; k < 16; k += ROWS_APART) {
      const float4 four = *four_of(k);
      if (whole && k < rows) *reinterpret_cast<float4*>(to + static_cast<size_t>(k) * out.stride) = four;
    }
    if (!whole) {
#pragma unroll 1
      for (int k = 0; k < 16 && k < rows; k += ROWS_APART) {
        const float* four = reinterpret_cast<const float*>(four_of(k));
#pragma unroll 1
        for (int i = 0; i < min(left, FOUR); i++) to[static_cast<size_t>(k) * out.stride + i] = four[i];
      }
    }
    __syncwarp();
    scales += WIDTH;
    left -= WIDTH;
    to += WIDTH;
  }
}

// Codes of 16 columns in their order, of which four lanes have staged their four.
inline __device__ uint4 in_order(const uint4& four) {
  return {__byte_perm(four.x, four.y, 0x5410), __byte_perm(four.z, four.w, 0x5410),
          __byte_perm(four.x, four.y, 0x7632), __byte_perm(four.z, four.w, 0x7632)};
}

// As codes. Of 16 columns a lane's four are staged side by side, and put in order when they are read.
template <int COLUMNS>
__device__ void store(int (&sums)[COLUMNS / 2], const CodeRows& out, const WidePart& part) {
  constexpr int WIDTH = CODE_COLUMNS;  // of a turn
  constexpr int PITCH = WideScales<COLUMNS>::PITCH;
  constexpr int ACROSS = WIDTH / PIECE;
  constexpr int ROWS_APART = WARP / ACROSS;
  constexpr int EACH = PIECE / 2;  // sums of a lane in 16 columns
  const int lane = threadIdx.x % WARP;
  const int place = lane % 4;
  // Neither who writes nor who reads pieces placed so has a conflict.
  const auto staged = [](int row, int piece) { return row * WIDTH + ((piece ^ (row / 2 % ACROSS)) * PIECE); };
  const int stage_wr = staged(lane / 4, 0) + place * sizeof(unsigned);
  const char* const stage_rd = part.stage + staged(lane / ACROSS, lane % ACROSS);
  const int rows = part.rows - lane / ACROSS;  // from the lane's first on
  const int unaligned = static_cast<int>(reinterpret_cast<uintptr_t>(out.at) | out.stride) % PIECE;
  const float* scales = part.scales_sh + place * 2;
  int left = part.columns - lane % ACROSS * PIECE;  // from the lane's first on
  signed char* to =
      out.at + static_cast<size_t>(part.row + lane / ACROSS) * out.stride + part.column + lane % ACROSS * PIECE;
#pragma unroll 1
  for (int turn = 0; turn * WIDTH < part.columns; turn++) {
    bring<WIDTH / 2>(sums, turn);
    unsigned unsure = 0;
    unsigned fours[ACROSS][2];  // all before the first is stored: so one's scales are read while others are computed
#pragma unroll
    for (int j = 0; j < ACROSS; j++) {
      int codes[EACH];
      bool sure = part.usual;
#pragma unroll
      for (int i = 0; i < EACH; i += 4) {
        const float* at = scales + j * PIECE + i * 2;
        const float2 scale = *reinterpret_cast<const float2*>(at);
        const float2 inverse = *reinterpret_cast<const float2*>(at + 2 * PITCH);
        const Bounds bounds[2] = {Bounds(inverse.x), Bounds(inverse.y)};
#pragma unroll
        for (int r = 0; r < 2; r++) {
          const int k = r * 4 + i / 2;
          const int* pair = sums + j * EACH + i + r * 2;
          codes[k] = near_code(scaled_sum(pair[0], scale.x, part.x_scale), bounds[0], sure);
          codes[k + 1] = near_code(scaled_sum(pair[1], scale.y, part.x_scale), bounds[1], sure);
        }
      }
#pragma unroll
      for (int r = 0; r < 2; r++) {
        fours[j][r] = held_codes({codes[r * 4], codes[r * 4 + 1], codes[r * 4 + 2], codes[r * 4 + 3]});
      }
      unsure |= sure ? 0 : 1u << j;
    }
#pragma unroll
    for (int j = 0; j < ACROSS; j++) {
#pragma unroll
      for (int r = 0; r < 2; r++) {
        *reinterpret_cast<unsigned*>(part.stage + (stage_wr ^ j * PIECE) + r * 8 * WIDTH) = fours[j][r];
      }
    }
    unsure &= (2u << (part.columns - turn * WIDTH - 1) / PIECE) - 1;  // not for columns that do not exist
    if (unsure != 0) {
#pragma unroll 1
      for (int j = 0; j < ACROSS; j++) {
        if (unsure >> j & 1) {
#pragma unroll 1
          for (int i = 0; i < EACH; i++) {  // each takes its turn in the same register
            const float* at = scales + j * PIECE + i / 4 * 8 + i % 2;
            const int code = code_of(scaled_sum(sums[0], at[0], part.x_scale), at[PITCH], at[2 * PITCH]);
            part.stage[(stage_wr ^ j * PIECE) + i / 2 % 2 * 8 * WIDTH + i / 4 * 2 + i % 2] = static_cast<char>(code);
#pragma unroll
            for (int c = 1; c < EACH; c++) sums[c - 1] = sums[c];
          }
        }
#pragma unroll
        for (int c = EACH; c < WIDTH / 2; c++) sums[c - EACH] = sums[c];
      }
    }
    __syncwarp();
    const bool whole = unaligned % 8 == 0 && left >= PIECE;
#pragma unroll
    for (int k = 0; k < 16; k += ROWS_APART) {
      const uint4 codes = in_order(*reinterpret_cast<const uint4*>(stage_rd + k * WIDTH));
      if (!whole || k >= rows) continue;
      signed char* each = to + static_cast<size_t>(k) * out.stride;
      if (unaligned == 0) {
        *reinterpret_cast<uint4*>(each) = codes;
      } else {
        reinterpret_cast<uint2*>(each)[0] = {codes.x, codes.y};
        reinterpret_cast<uint2*>(each)[1] = {codes.z, codes.w};
      }
    }
    if (!whole) {
#pragma unroll 1
      for (int k = 0; k < 16 && k < rows; k += ROWS_APART) {
        uint4 codes = in_order(*reinterpret_cast<const uint4*>(stage_rd + k * WIDTH));
        signed char* each = to + static_cast<size_t>(k) * out.stride;
#pragma unroll 1
        for (int i = 0; i < min(left, PIECE); i++) {
          each[i] = static_cast<signed char>(codes.x);
          codes = {__funnelshift_r(codes.x, codes.y, 8), __funnelshift_r(codes.y, codes.z, 8),
                   __funnelshift_r(codes.z, codes.w, 8), codes.w >> 8};
        }
      }
    }
    __syncwarp();
    scales += WIDTH;
    left -= WIDTH;
    to += WIDTH;
  }
}

#endif
