// linear of codes by 8-bit weights, for many rows: out = f32(x * weight^T) * row_scale * x_scale
//
//   weight     codes, packed (ceil(in / CHUNK), rows, CHUNK), rows = out_dim up to a multiple of 8, zeros where the
//              matrix has no element, 16-byte pieces of a row exchanged: input i of output o lies at
//                (i / CHUNK * rows + o) * CHUNK + (i % CHUNK / 16 ^ o % 8) * 16 + i % 16
//   row_scale  (out_dim) f32
//   x          (n, in) codes, address and row stride multiples of 16
//   x_scale    (1) f32
//   out        (n, out_dim) f32, or codes with out_scale; any row stride
//
// Entry points, at the end: linear_wide256_, 192_, 128_, 64_i8_i8_f32 and _i8_i8_i8. The number is outputs of a tile:
// best is that of the least ceil(tiles / multiprocessors) * (outputs + 64), tiles = ceil(n / 128) *
// ceil(out_dim / outputs). grid: a block a multiprocessor, or one a tile, if there are fewer. Dynamic shared memory:
// 197,632 bytes, for 192 outputs 205,824, of which 1,024 to begin at a multiple of that; none but on sm_90.
//
// A block goes from tile to tile. On sm_90 its first warpgroup copies: x a piece a thread, as rows lie anywhere, and
// the weight in bulk, as it is packed for that. The two others multiply, half of the rows each.
#include "linear_out.cuh"
#include "matrix.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 384;

#ifdef WARPGROUPS

constexpr int TILE_ROWS = 128;
constexpr int GROUP_TILES = 16;   // tiles of rows that are near in time, so that what they read stays in the L2 cache
constexpr int COPIES_BEHIND = 2;  // stages whose copies are under way when a producer waits for older ones

// Stages of a tile COLUMNS wide, 192 or 200 KiB.
template <int COLUMNS>
constexpr int STAGES_OF = COLUMNS == 256 ? 4 : COLUMNS == 192 ? 5 : COLUMNS == 128 ? 6 : 8;

// A place in the ring of stages.
template <int STAGES>
struct Stage {
  int at = 0;
  int parity = 0;
  __device__ void next() {
    if (++at == STAGES) {
      at = 0;
      parity ^= 1;
    }
  }
};

// The tiles of a block: down a group of rows, then on to the next columns.
template <int COLUMNS>
struct Tiles {
  int down, across, index;

  __device__ Tiles(int n, int out_dim)
      : down((n + TILE_ROWS - 1) / TILE_ROWS), across((out_dim + COLUMNS - 1) / COLUMNS), index(blockIdx.x) {}

  __device__ bool next(int& row, int& column) {
    if (index >= down * across) return false;
    const int group = index / (GROUP_TILES * across);
    const int group_down = min(GROUP_TILES, down - group * GROUP_TILES);
    const int rest = index - group * GROUP_TILES * across;
    row = (group * GROUP_TILES + rest % group_down) * TILE_ROWS;
    column = rest / group_down * COLUMNS;
    index += gridDim.x;
    return true;
  }
};

// What the outputs of a tile are multiplied by and divided by, a warpgroup's own.
template <int COLUMNS>
struct Scales {
  float row[COLUMNS];
  float out[COLUMNS];
  float inverse[COLUMNS];  // of out

  __device__ void load(const FloatRows&, const float* row_scale, int column, int out_dim) {
    for (int i = threadIdx.x % WARPGROUP; i < COLUMNS; i += WARPGROUP) {
      row[i] = column + i < out_dim ? row_scale[column + i] : 0;
    }
  }

  __device__ void load(const CodeRows& to, const float* row_scale, int column, int out_dim) {
    for (int i = threadIdx.x % WARPGROUP; i < COLUMNS; i += WARPGROUP) {
      const int at = min(column + i, out_dim - 1);
      row[i] = row_scale[at];
      out[i] = to.scale[at * to.step];
      inverse[i] = inverse_of(out[i]);
    }
  }
};

// A warp's part of the sums as f32, two neighbours at a time where they may be stored so.
template <int COLUMNS>
__device__ void store(const int (&sums)[COLUMNS / 2], const FloatRows& out, const Scales<COLUMNS>& scales,
                      float x_scale, int row, int column, int n, int out_dim) {
  const int lane = threadIdx.x % WARP;
  const int place = lane % 4 * 2;
  const bool pairs = reinterpret_cast<uintptr_t>(out.at) % sizeof(float2) == 0 && out.stride % 2 == 0 &&
                     column + COLUMNS <= out_dim;
  float* const to = out.at + static_cast<size_t>(row + lane / 4) * out.stride + column + place;
#pragma unroll
  for (int r = 0; r < 2; r++) {
    if (row + lane / 4 + r * 8 >= n) continue;
#pragma unroll
    for (int j = 0; j < COLUMNS / 8; j++) {
      const float2 scale = *reinterpret_cast<const float2*>(&scales.row[j * 8 + place]);
      const float2 values = {scaled_sum(sums[j * 4 + r * 2], scale.x, x_scale),
                             scaled_sum(sums[j * 4 + r * 2 + 1], scale.y, x_scale)};
      float* at = to + static_cast<size_t>(r * 8) * out.stride + j * 8;
      if (pairs) {
        *reinterpret_cast<float2*>(at) = values;
      } else {
        if (column + j * 8 + place < out_dim) at[0] = values.x;
        if (column + j * 8 + place + 1 < out_dim) at[1] = values.y;
      }
    }
  }
}

// A warp's part of the sums as codes. Of 32 columns a lane has 8 by twos; lanes of four exchange them so that each
// stores 8 in a row.
template <int COLUMNS>
__device__ void store(const int (&sums)[COLUMNS / 2], const CodeRows& out, const Scales<COLUMNS>& scales,
                      float x_scale, int row, int column, int n, int out_dim) {
  const int lane = threadIdx.x % WARP;
  const int place = lane % 4;
  const bool odd = place % 2;
  const bool eights = reinterpret_cast<uintptr_t>(out.at) % sizeof(int2) == 0 && out.stride % sizeof(int2) == 0;
  for (int r = 0; r < 2; r++) {
    const int at_row = row + lane / 4 + r * 8;
    signed char* const to = out.at + static_cast<size_t>(at_row) * out.stride + column + place * 8;
#pragma unroll
    for (int j = 0; j < COLUMNS / 8; j += 4) {
      unsigned codes[2] = {};  // pairs of columns 8 (j + 2 h) ... and 8 (j + 2 h + 1) ...
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int c = 0; c < 2; c++) {
          const int k = (j + i) * 8 + place * 2 + c;
          const int at = (j + i) * 4 + c;
          const float value = scaled_sum(r == 0 ? sums[at] : sums[at + 2], scales.row[k], x_scale);
          codes[i / 2] |= (code_of(value, scales.out[k], scales.inverse[k]) & 0xffu) << (i % 2 * 16 + c * 8);
        }
      }
      // Lane p wants pairs of columns 8 (j + p) ... of lanes 0 to 3: first between lanes 2 apart, then neighbours.
      const unsigned away = __shfl_xor_sync(ALL_LANES, place < 2 ? codes[1] : codes[0], 2);
      const unsigned low = place < 2 ? codes[0] : away;   // of lane p % 2
      const unsigned high = place < 2 ? away : codes[1];  // of lane p % 2 + 2
      const unsigned mine = __byte_perm(low, high, odd ? 0x7632 : 0x5410);
      const unsigned given = __shfl_xor_sync(ALL_LANES, __byte_perm(low, high, odd ? 0x5410 : 0x7632), 1);
      const unsigned even_lane = odd ? given : mine;
      const unsigned odd_lane = odd ? mine : given;
      const unsigned words[2] = {__byte_perm(even_lane, odd_lane, 0x5410), __byte_perm(even_lane, odd_lane, 0x7632)};
      if (at_row >= n) continue;
      const int left = out_dim - column - (j + place) * 8;
      if (eights && left >= 8) {
        *reinterpret_cast<uint2*>(to + j * 8) = {words[0], words[1]};
      } else {
#pragma unroll
        for (int c = 0; c < 8; c++) {
          if (c < left) to[j * 8 + c] = static_cast<signed char>(words[c / 4] >> c % 4 * 8);
        }
      }
    }
  }
}

template <int COLUMNS, typename Out>
__device__ void wide(const signed char* weight, const float* row_scale, const signed char* x, int x_stride,
                     const float* x_scale, const Out& out, int n, int in, int out_dim) {
  constexpr int STAGES = STAGES_OF<COLUMNS>;
  constexpr int X_BYTES = TILE_ROWS * CHUNK;
  constexpr int STAGE_BYTES = X_BYTES + COLUMNS * CHUNK;
  constexpr int PRODUCERS = WARPGROUP / WARP;
  constexpr int CONSUMERS = (THREADS - WARPGROUP) / WARP;
  extern __shared__ char dynamic_sh[];
  __shared__ Scales<COLUMNS> scales_sh[THREADS / WARPGROUP - 1];
  __shared__ uint64_t barriers_sh[2 * STAGES];
  const uint32_t tiles_sh = (shared_address(dynamic_sh) + 1023) / 1024 * 1024;
  const uint32_t full = shared_address(barriers_sh);
  const uint32_t free = full + STAGES * sizeof(uint64_t);
  const int chunks = (in + CHUNK - 1) / CHUNK;
  const int lane = threadIdx.x % WARP;
  Tiles<COLUMNS> tiles(n, out_dim);
  int row, column;

  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) {
      init_barrier(full + i * sizeof(uint64_t), PRODUCERS + 1);
      init_barrier(free + i * sizeof(uint64_t), CONSUMERS);
    }
    publish_barriers();
  }
  __syncthreads();

  if (threadIdx.x < WARPGROUP) {
    leave_registers<56>();
    const int rows = (out_dim + 7) / 8 * 8;
    const int piece = threadIdx.x % PIECES;
    const int copy_row = threadIdx.x / PIECES;
    constexpr int ROWS_APART = WARPGROUP / PIECES;
    const uint32_t x_sh_wr = tiles_sh + swizzled(copy_row, piece);
    const size_t x_apart = static_cast<size_t>(ROWS_APART) * x_stride;
    const size_t w_apart = static_cast<size_t>(rows) * CHUNK;
    Stage<STAGES> stage;
    Stage<STAGES> oldest;
    int under_way = 0;  // stages
    const auto complete = [&]() {
      publish_tile();
      __syncwarp();
      if (lane == 0) arrive(full + oldest.at * sizeof(uint64_t));
      oldest.next();
      under_way--;
    };
    while (tiles.next(row, column)) {
      const signed char* x_gl_rd = x + static_cast<size_t>(row + copy_row) * x_stride + piece * PIECE;
      const signed char* w_gl_rd = weight + static_cast<size_t>(column) * CHUNK;
      const int w_bytes = min(COLUMNS, rows - column) * CHUNK;
      const int x_rows = n - row - copy_row;
      for (int chunk = 0; chunk < chunks; chunk++) {
        await(free + stage.at * sizeof(uint64_t), stage.parity ^ 1);
        const uint32_t stage_sh = stage.at * STAGE_BYTES;
        if (threadIdx.x == 0) {
          const uint32_t barrier = full + stage.at * sizeof(uint64_t);
          arrive_expecting(barrier, w_bytes);
          copy_bulk(tiles_sh + stage_sh + X_BYTES, w_gl_rd, w_bytes, barrier);
        }
        const int bytes = min(PIECE, in - chunk * CHUNK - piece * PIECE);
#pragma unroll
        for (int i = 0; i < TILE_ROWS / ROWS_APART; i++) {
          if (i * ROWS_APART < x_rows && bytes > 0) {
            copy_piece(x_sh_wr + stage_sh + i * ROWS_APART * CHUNK, x_gl_rd + i * x_apart, bytes);
          }
        }
        end_copies();
        stage.next();
        x_gl_rd += CHUNK;
        w_gl_rd += w_apart;
        if (++under_way > COPIES_BEHIND) {
          await_copies<COPIES_BEHIND>();
          complete();
        }
      }
    }
    await_copies<0>();
    while (under_way > 0) complete();
  } else {
    take_registers<224>();
    const int group = threadIdx.x / WARPGROUP - 1;
    const float scale = *x_scale;
    Scales<COLUMNS>& scales = scales_sh[group];
    Stage<STAGES> stage;
    while (tiles.next(row, column)) {
      sync_warpgroup(1 + group);  // the last tile's scales are read
      scales.load(out, row_scale, column, out_dim);
      int sums[COLUMNS / 2];
      uint32_t before = 0;  // the barrier of the stage that is being multiplied
      for (int chunk = 0; chunk < chunks; chunk++) {
        await(full + stage.at * sizeof(uint64_t), stage.parity);
        const uint32_t tile_sh = tiles_sh + stage.at * STAGE_BYTES;
        const uint64_t a = descriptor(tile_sh + group * X_BYTES / 2);
        const uint64_t b = descriptor(tile_sh + X_BYTES);
        pin(sums);
        begin_products();
#pragma unroll
        for (int k = 0; k < 4; k++) Product<COLUMNS>::add(sums, a + k * 2, b + k * 2, chunk > 0 || k > 0);
        end_products();
        pin(sums);
        if (chunk > 0) {
          await_products<1>();
          if (lane == 0) arrive(before);
        }
        before = free + stage.at * sizeof(uint64_t);
        stage.next();
      }
      await_products<0>();
      pin(sums);
      if (lane == 0) arrive(before);
      sync_warpgroup(1 + group);  // the scales are loaded
      store<COLUMNS>(sums, out, scales, scale, row + (threadIdx.x - WARPGROUP) / WARP * 16, column, n, out_dim);
    }
  }
}

#else

// Other devices: a warp computes 16 rows of x by 8 outputs at a time, straight from global memory.
template <int COLUMNS, typename Out>
__device__ void wide(const signed char* weight, const float* row_scale, const signed char* x, int x_stride,
                     const float* x_scale, const Out& out, int n, int in, int out_dim) {
  const int rows = (out_dim + 7) / 8 * 8;
  const int lane = threadIdx.x % WARP;
  const int down = (n + 15) / 16;
  const int across = rows / 8;
  const int warps = gridDim.x * (THREADS / WARP);
  for (int index = blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP; index < down * across; index += warps) {
    const int row = index % down * 16 + lane / 4;
    const int column = index / down * 8;
    int sums[4] = {};
    for (int i = lane % 4 * 4; i < (in + CHUNK - 1) / CHUNK * CHUNK; i += 32) {
      int a[4];
      int b[2];
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const int at = i + h * 16;
#pragma unroll
        for (int r = 0; r < 2; r++) {
          const int x_row = row + r * 8;
          a[h * 2 + r] = x_row < n ? load_four(x + static_cast<size_t>(x_row) * x_stride + at, in - at) : 0;
        }
        const signed char* tile = weight + (static_cast<size_t>(at / CHUNK) * rows + column) * CHUNK;
        b[h] = *reinterpret_cast<const int*>(tile + swizzled(lane / 4, at % CHUNK / PIECE) + at % PIECE);
      }
      add_product(sums, a, b[0], b[1]);
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
      const int at_row = row + k / 2 * 8;
      const int c = column + lane % 4 * 2 + k % 2;
      if (at_row >= n || c >= out_dim) continue;
      out.at[static_cast<size_t>(at_row) * out.stride + c] =
          element(out, c, scaled_sum(sums[k], row_scale[c], *x_scale));
    }
  }
}

#endif

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide256_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  wide<256, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide192_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  wide<192, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide128_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  wide<128, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide64_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  wide<64, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide256_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                        int out_scale_step, int n, int in, int out_dim) {
  wide<256, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n,
                         in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide192_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                        int out_scale_step, int n, int in, int out_dim) {
  wide<192, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n,
                         in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide128_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                        int out_scale_step, int n, int in, int out_dim) {
  wide<128, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n,
                         in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide64_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                       const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                       signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                       int out_scale_step, int n, int in, int out_dim) {
  wide<64, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n,
                        in, out_dim);
}
