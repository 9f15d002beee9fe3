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
// Entry points, at the end: linear_wide256_, linear_wide128_, linear_wide64_i8_i8_f32 and _i8_i8_i8. The number is
// outputs of a tile: 256 where these fill the device, fewer where they would not. grid: a block a multiprocessor, or
// ceil(n / TILE_ROWS) * ceil(out_dim / outputs), one a tile, if there are fewer. Dynamic shared memory: 197,632 bytes,
// 1,024 of them to begin at a multiple of that; none but on sm_90.
//
// A block goes from tile to tile. On sm_90 its first warpgroup copies: x a piece a thread, as rows lie anywhere, and
// the weight in bulk, as it is packed for that. The two others multiply, TILE_ROWS / 2 rows each.
#include "linear_out.cuh"
#include "matrix.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 384;

#ifdef WARPGROUPS

constexpr int TILE_ROWS = 128;
constexpr int GROUP_TILES = 16;   // tiles of rows that are near in time, so that what they read stays in the L2 cache
constexpr int COPIES_BEHIND = 2;  // stages whose copies are under way when a producer waits for older ones

// Stages of a tile COLUMNS wide, 192 KiB.
template <int COLUMNS>
constexpr int STAGES_OF = COLUMNS == 256 ? 4 : COLUMNS == 128 ? 6 : 8;

struct Tile {
  int row, column;
};

// The order of tiles: down a group of rows, then on to the next columns.
inline __device__ Tile tile_at(int index, int tiles_down, int tiles_across, int columns) {
  const int group = index / (GROUP_TILES * tiles_across);
  const int down = min(GROUP_TILES, tiles_down - group * GROUP_TILES);
  const int rest = index - group * GROUP_TILES * tiles_across;
  return {(group * GROUP_TILES + rest % down) * TILE_ROWS, rest / down * columns};
}

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

// A warp's part of the sums as f32, two neighbours at a time where they may be stored so.
template <int COLUMNS>
__device__ void store(const int (&sums)[COLUMNS / 2], const FloatRows& out, const float* row_scale, float x_scale,
                      int row, int column, int n, int out_dim) {
  const int lane = threadIdx.x % WARP;
  const int first = column + lane % 4 * 2;
  const bool pairs = reinterpret_cast<uintptr_t>(out.at) % sizeof(float2) == 0 && out.stride % 2 == 0;
#pragma unroll
  for (int j = 0; j < COLUMNS / 8; j++) {
    const int c = first + j * 8;
    if (c >= out_dim) break;
    const bool both = c + 1 < out_dim;
    const float scale_0 = row_scale[c];
    const float scale_1 = both ? row_scale[c + 1] : 0;
#pragma unroll
    for (int r = 0; r < 2; r++) {
      const int at_row = row + lane / 4 + r * 8;
      if (at_row >= n) continue;
      float* to = out.at + static_cast<size_t>(at_row) * out.stride + c;
      const float2 values = {scaled_sum(sums[j * 4 + r * 2], scale_0, x_scale),
                             scaled_sum(sums[j * 4 + r * 2 + 1], scale_1, x_scale)};
      if (both && pairs) {
        *reinterpret_cast<float2*>(to) = values;
      } else {
        to[0] = values.x;
        if (both) to[1] = values.y;
      }
    }
  }
}

// A warp's part of the sums as codes. Of 32 columns a lane has 8 by twos; lanes of four exchange them so that each
// stores 8 in a row.
template <int COLUMNS>
__device__ void store(const int (&sums)[COLUMNS / 2], const CodeRows& out, const float* row_scale, float x_scale,
                      int row, int column, int n, int out_dim) {
  const int lane = threadIdx.x % WARP;
  const int place = lane % 4;
  const bool eights = reinterpret_cast<uintptr_t>(out.at) % sizeof(int2) == 0 && out.stride % sizeof(int2) == 0;
#pragma unroll
  for (int j = 0; j < COLUMNS / 8; j += 4) {
    if (column + j * 8 >= out_dim) break;
    unsigned codes[2][2] = {};  // of a row, pairs of columns 8 (j + 2 h) ... and 8 (j + 2 h + 1) ...
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int c = 0; c < 2; c++) {
        const int at_column = column + (j + i) * 8 + place * 2 + c;
        if (at_column >= out_dim) continue;
        const float scale = row_scale[at_column];
        const float out_scale = out.scale[at_column * out.step];
#pragma unroll
        for (int r = 0; r < 2; r++) {
          const int code = code_of(scaled_sum(sums[(j + i) * 4 + r * 2 + c], scale, x_scale), out_scale);
          codes[r][i / 2] |= (code & 0xffu) << (i % 2 * 16 + c * 8);
        }
      }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
      // Lane p wants pairs of columns 8 (j + p) ... of lanes 0 to 3: first between lanes 2 apart, then neighbours.
      const unsigned away = __shfl_xor_sync(ALL_LANES, place < 2 ? codes[r][1] : codes[r][0], 2);
      const unsigned low = place < 2 ? codes[r][0] : away;   // of lane p % 2
      const unsigned high = place < 2 ? away : codes[r][1];  // of lane p % 2 + 2
      const bool odd = place % 2;
      const unsigned mine = __byte_perm(low, high, odd ? 0x7632 : 0x5410);
      const unsigned given = __shfl_xor_sync(ALL_LANES, __byte_perm(low, high, odd ? 0x5410 : 0x7632), 1);
      const unsigned even_lane = odd ? given : mine;
      const unsigned odd_lane = odd ? mine : given;
      const unsigned words[2] = {__byte_perm(even_lane, odd_lane, 0x5410), __byte_perm(even_lane, odd_lane, 0x7632)};
      const int at_row = row + lane / 4 + r * 8;
      const int at_column = column + (j + place) * 8;
      if (at_row >= n) continue;
      signed char* to = out.at + static_cast<size_t>(at_row) * out.stride + at_column;
      if (eights && at_column + 8 <= out_dim) {
        *reinterpret_cast<uint2*>(to) = {words[0], words[1]};
      } else {
#pragma unroll
        for (int c = 0; c < 8; c++) {
          if (at_column + c < out_dim) to[c] = static_cast<signed char>(words[c / 4] >> c % 4 * 8);
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
  __shared__ uint64_t barriers_sh[2 * STAGES];
  const uint32_t tiles_sh = (shared_address(dynamic_sh) + 1023) / 1024 * 1024;
  const uint32_t full = shared_address(barriers_sh);
  const uint32_t free = full + STAGES * sizeof(uint64_t);
  const int chunks = (in + CHUNK - 1) / CHUNK;
  const int tiles_down = (n + TILE_ROWS - 1) / TILE_ROWS;
  const int tiles_across = (out_dim + COLUMNS - 1) / COLUMNS;
  const int tiles = tiles_down * tiles_across;
  const int lane = threadIdx.x % WARP;

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
    Stage<STAGES> stage;
    int under_way = 0;  // stages
    Stage<STAGES> oldest;
    const auto complete = [&]() {
      publish_tile();
      __syncwarp();
      if (lane == 0) arrive(full + oldest.at * sizeof(uint64_t));
      oldest.next();
      under_way--;
    };
    for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
      const Tile tile = tile_at(index, tiles_down, tiles_across, COLUMNS);
      const signed char* x_gl_rd = x + static_cast<size_t>(tile.row + copy_row) * x_stride + piece * PIECE;
      const signed char* w_gl_rd = weight + static_cast<size_t>(tile.column) * CHUNK;
      const int w_bytes = min(COLUMNS, rows - tile.column) * CHUNK;
      for (int chunk = 0; chunk < chunks; chunk++) {
        await(free + stage.at * sizeof(uint64_t), stage.parity ^ 1);
        const uint32_t stage_sh = stage.at * STAGE_BYTES;
        if (threadIdx.x == 0) {
          const uint32_t barrier = full + stage.at * sizeof(uint64_t);
          arrive_expecting(barrier, w_bytes);
          copy_bulk(tiles_sh + stage_sh + X_BYTES, w_gl_rd, w_bytes, barrier);
        }
        const int bytes = max(0, min(PIECE, in - chunk * CHUNK - piece * PIECE));
#pragma unroll
        for (int i = 0; i < TILE_ROWS / ROWS_APART; i++) {
          if (tile.row + copy_row + i * ROWS_APART < n && bytes > 0) {
            copy_piece(x_sh_wr + stage_sh + i * ROWS_APART * CHUNK,
                       x_gl_rd + static_cast<size_t>(i * ROWS_APART) * x_stride, bytes);
          }
        }
        end_copies();
        stage.next();
        x_gl_rd += CHUNK;
        w_gl_rd += static_cast<size_t>(rows) * CHUNK;
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
    Stage<STAGES> stage;
    for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
      const Tile tile = tile_at(index, tiles_down, tiles_across, COLUMNS);
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
      store<COLUMNS>(sums, out, row_scale, scale, tile.row + (threadIdx.x - WARPGROUP) / WARP * 16, tile.column, n,
                     out_dim);
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
  wide<256, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                      out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide128_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                        int out_scale_step, int n, int in, int out_dim) {
  wide<128, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                      out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_wide64_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                       const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                       signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                       int out_scale_step, int n, int in, int out_dim) {
  wide<64, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                     out_dim);
}
