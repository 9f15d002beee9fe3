// The tiles of linear_codes_wide.cu, and how a warp's sums of one become outputs. On sm_90 only (WARPGROUPS).
#pragma once
#include "linear_out.cuh"
#include "matrix.cuh"

#ifdef WARPGROUPS

constexpr int TILE_ROWS = 128;
constexpr int GROUP_TILES = 16;  // tiles of rows that are near in time, so that what they read stays in the L2 cache
constexpr int TAIL_COLUMNS = 128;

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
    if (index >= down * across) {
      const int rest = index - down * across;
      return {rest % down * TILE_ROWS, rest / down * TAIL_OF<COLUMNS>, true};
    }
    const int group = index / (GROUP_TILES * across);
    const int group_down = min(GROUP_TILES, down - group * GROUP_TILES);
    const int rest = index - group * GROUP_TILES * across;
    return {(group * GROUP_TILES + rest % group_down) * TILE_ROWS, rest / group_down * COLUMNS, false};
  }
};

// What the outputs of a tile are multiplied by and divided by, a thread's share of it. Columns that do not exist have
// that of the last.
template <int COLUMNS>
struct WideScales {
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

  // Puts them into shared memory: by COLUMNS those of rows, those of codes and their inverses. Returns whether all
  // codes of this share are below 2^22 before they are held.
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
      if (place(i) >= COLUMNS) continue;
      scales_sh[place(i)] = row[i];
      scales_sh[COLUMNS + place(i)] = out[i];
      scales_sh[2 * COLUMNS + place(i)] = inverse;
    }
    return usual;
  }

  static __device__ int place(int i) { return i * WARPGROUP + threadIdx.x % WARPGROUP; }
};

// Where a warp's sums go, and by what. They go by shared memory, 16 rows of CHUNK bytes at a time, so that the warp
// stores whole lines.
struct WidePart {
  char* stage;
  const float* scales_sh;  // by `pitch` what WideScales puts there
  int pitch;
  float x_scale;
  bool usual;  // all codes are below 2^22 before they are held
  int row, column, n, out_dim;

  // Where piece `piece` of row `row` of the stage lies: neither who writes fours of columns, nor who writes eights, nor
  // who reads has a conflict.
  static __device__ int staged(int row, int piece) {
    return row * CHUNK + ((piece ^ (row % 4 * 2 + row / 4 % 2)) * PIECE);
  }

  // How many outputs there are from this one on.
  __device__ int left(int r, int c) const { return row + r < n ? out_dim - column - c : 0; }
};

// As f32.
template <int COLUMNS>
__device__ void store(const int (&sums)[COLUMNS / 2], const FloatRows& out, const WidePart& part) {
  constexpr int FOUR = PIECE / sizeof(float);
  constexpr int WIDTH = CHUNK / sizeof(float);
  const int lane = threadIdx.x % WARP;
  const int place = lane % 4 * 2;
  const int stage_wr = part.staged(lane / 4, place / FOUR) + place % FOUR * sizeof(float);
  const bool fours = (reinterpret_cast<uintptr_t>(out.at) | out.stride * sizeof(float)) % PIECE == 0;
#pragma unroll
  for (int first = 0; first < COLUMNS; first += WIDTH) {
    const int pieces = min(WIDTH, COLUMNS - first) / FOUR;
#pragma unroll
    for (int j = 0; j < PIECES / 2; j++) {
      if (j >= pieces / 2) continue;
      const float2 scale = *reinterpret_cast<const float2*>(part.scales_sh + first + j * 8 + place);
#pragma unroll
      for (int r = 0; r < 2; r++) {
        const int at = (first / 8 + j) * 4 + r * 2;
        *reinterpret_cast<float2*>(part.stage + (stage_wr ^ j * 2 * PIECE) + r * 8 * CHUNK) = {
            scaled_sum(sums[at], scale.x, part.x_scale), scaled_sum(sums[at + 1], scale.y, part.x_scale)};
      }
    }
    __syncwarp();
#pragma unroll
    for (int k = 0; k < 16 * PIECES; k += WARP) {
      if (k + lane >= 16 * pieces) continue;
      const int r = (k + lane) / pieces;
      const int c = (k + lane) % pieces;
      float4 four = *reinterpret_cast<const float4*>(part.stage + part.staged(r, c));
      float* to = out.at + static_cast<size_t>(part.row + r) * out.stride + part.column + first + c * FOUR;
      const int left = part.left(r, first + c * FOUR);
      if (fours && left >= FOUR) {
        *reinterpret_cast<float4*>(to) = four;
      } else {
#pragma unroll 1
        for (int i = 0; i < min(left, FOUR); i++) {
          to[i] = four.x;
          four = {four.y, four.z, four.w, 0};
        }
      }
    }
    __syncwarp();
  }
}

// Codes of a lane's sums in four columns of two rows: the first one's, of which scales_sh has the scales, the next, and
// those 8 further on.
inline __device__ void codes_of(const int* sums, const float* scales_sh, const WidePart& part, unsigned (&rows)[2]) {
  float values[8];
  int codes[8];
  bool sure = part.usual;
#pragma unroll
  for (int i = 0; i < 4; i += 2) {
    const float2 scale = *reinterpret_cast<const float2*>(scales_sh + i * 4);
    const float2 inverse = *reinterpret_cast<const float2*>(scales_sh + 2 * part.pitch + i * 4);
#pragma unroll
    for (int r = 0; r < 2; r++) {
      const int k = r * 4 + i;
      values[k] = scaled_sum(sums[i * 2 + r * 2], scale.x, part.x_scale);
      values[k + 1] = scaled_sum(sums[i * 2 + r * 2 + 1], scale.y, part.x_scale);
      codes[k] = near_code(values[k], inverse.x, sure);
      codes[k + 1] = near_code(values[k + 1], inverse.y, sure);
    }
  }
  if (!sure) {
#pragma unroll 1
    for (int i = 0; i < 8; i++) {  // each takes its turn in the same registers
      const float* at = scales_sh + i % 4 / 2 * 8 + i % 2;
      const int code = code_of(values[0], at[part.pitch], at[2 * part.pitch]);
#pragma unroll
      for (int c = 0; c < 7; c++) {
        values[c] = values[c + 1];
        codes[c] = codes[c + 1];
      }
      codes[7] = code;
    }
  }
#pragma unroll
  for (int r = 0; r < 2; r++) {
    rows[r] = held_codes({codes[r * 4], codes[r * 4 + 1], codes[r * 4 + 2], codes[r * 4 + 3]});
  }
}

// As codes. Of 16 columns a lane's four are staged side by side, and put in order when they are read.
template <int COLUMNS>
__device__ void store(const int (&sums)[COLUMNS / 2], const CodeRows& out, const WidePart& part) {
  const int lane = threadIdx.x % WARP;
  const int place = lane % 4;
  const int stage_wr = part.staged(lane / 4, 0) + place * sizeof(unsigned);
  const bool sixteens = (reinterpret_cast<uintptr_t>(out.at) | out.stride) % PIECE == 0;
#pragma unroll
  for (int first = 0; first < COLUMNS; first += CHUNK) {
    const int pieces = min(CHUNK, COLUMNS - first) / PIECE;
#pragma unroll
    for (int j = 0; j < PIECES; j++) {
      if (j >= pieces) continue;
      const int c = first + j * PIECE;
      unsigned rows[2];
      codes_of(sums + c / 2, part.scales_sh + c + place * 2, part, rows);
#pragma unroll
      for (int r = 0; r < 2; r++) {
        *reinterpret_cast<unsigned*>(part.stage + (stage_wr ^ j * PIECE) + r * 8 * CHUNK) = rows[r];
      }
    }
    __syncwarp();
#pragma unroll
    for (int k = 0; k < 16 * PIECES; k += WARP) {
      if (k + lane >= 16 * pieces) continue;
      const int r = (k + lane) / pieces;
      const int c = (k + lane) % pieces;
      const uint4 four = *reinterpret_cast<const uint4*>(part.stage + part.staged(r, c));
      uint4 codes = {__byte_perm(four.x, four.y, 0x5410), __byte_perm(four.z, four.w, 0x5410),
                     __byte_perm(four.x, four.y, 0x7632), __byte_perm(four.z, four.w, 0x7632)};
      signed char* to = out.at + static_cast<size_t>(part.row + r) * out.stride + part.column + first + c * PIECE;
      const int left = part.left(r, first + c * PIECE);
      if (sixteens && left >= PIECE) {
        *reinterpret_cast<uint4*>(to) = codes;
      } else {
#pragma unroll 1
        for (int i = 0; i < min(left, PIECE); i++) {
          to[i] = static_cast<signed char>(codes.x);
          codes = {__funnelshift_r(codes.x, codes.y, 8), __funnelshift_r(codes.y, codes.z, 8),
                   __funnelshift_r(codes.z, codes.w, 8), codes.w >> 8};
        }
      }
    }
    __syncwarp();
  }
}

#endif
