// linear of codes by 4-bit weights, for few rows: out = f32(x * weight^T) * row_scale * x_scale
//
//   weight     packed as int4.cuh says
//   row_scale  (out_dim) f32
//   x          (n, in) codes, address and row stride multiples of 16
//   x_scale    (1) f32
//   out        (n, out_dim) f32, or codes with out_scale; any row stride
//   tail_...   of another product of x, if tail_out_dim is not 0
//
// Entry points, at the end: linear_few8_, linear_pair8_, linear_few16_i4_i8_f32 and _i4_i8_i8, linear_held8_i4_i8_f32,
// for up to that many rows, or for any number that many at a time: grid (ceil(out_dim / outputs) + ceil(tail_out_dim /
// outputs), ceil(n / rows)), outputs TILE or of pair8 two TILEs; dynamic shared memory of slot_bytes() a slot, at most
// 12,480 bytes a warp, of pair8 9,408, of few16 12,416. The same with _conv convolve some columns.
//
// A block computes a tile of outputs or two, a warp one in so many chunks of inputs. Time goes by waiting for memory,
// so a warp has copies of several chunks under way, of its own, those of the weight before x is there, and what
// finishes the outputs is read meanwhile: nobody waits for anything else before the end.
//
// All blocks are to run at once, so that none copies its weight when x is there already: of many tiles, two a block
// take fewer registers each. Where there are few, a block has registers for its weight, converted before x is there.
#include "int4.cuh"
#include "linear_conv.cuh"
#include "linear_tail.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / WARP;
// Blocks of a multiprocessor. What decides between ways also stands in CudaLinearForm, as do slots.
constexpr int BLOCKS_8 = 4;
constexpr int BLOCKS_PAIR = 3;
constexpr int BLOCKS_HELD = 2;

// Slots of a warp at most: it has one for each of its chunks, or takes turns.
constexpr int MOST_SLOTS_8 = 6;
constexpr int MOST_SLOTS_PAIR = 3;
constexpr int MOST_SLOTS_16 = 4;

// How a block works: on so many rows and tiles, with so many slots a warp, of which the first HELD are converted before
// x is there.
template <int ROWS_OF, int TILES_OF, int SLOTS_OF, int HELD_OF>
struct Way {
  static constexpr int ROWS = ROWS_OF;
  static constexpr int TILES = TILES_OF;
  static constexpr int SLOTS = SLOTS_OF;
  static constexpr int HELD = HELD_OF;
};

using Few8 = Way<8, 1, MOST_SLOTS_8, 0>;
using Pair8 = Way<8, 2, MOST_SLOTS_PAIR, 0>;
using Held8 = Way<8, 1, MOST_SLOTS_8, 5>;
using Few16 = Way<16, 1, MOST_SLOTS_16, 0>;

// A slot has q and ratios of each tile, and x, the last for so many rows. A warp's slots lie together, first what is of
// the weight: nvcc 13.0 puts a stride that it does not know where the policy of a copy is.
constexpr int WEIGHT_BYTES = TILE_BYTES + TILE_RATIOS;
template <class WAY>
__device__ int slot_bytes(int rows) {
  return WAY::TILES * WEIGHT_BYTES + rows * CHUNK;
}

// The first operand of a chunk's products.
struct Operand {
  int at[16];
};

template <class WAY, typename Out>
__device__ void few(const signed char* weight, const float* row_scale, const signed char* x, int x_stride,
                    const float* x_scale, const Out& out, int n, int in, int out_dim, const Tail& tail) {
  constexpr int ROWS = WAY::ROWS;
  constexpr int MOST = WAY::SLOTS;
  constexpr int TILES = WAY::TILES;
  constexpr int HELD = WAY::HELD;
  constexpr int OUTPUTS = TILES * TILE;
  constexpr int SLOT_WEIGHT = TILES * WEIGHT_BYTES;
  extern __shared__ __align__(128) char slots_sh[];
  __shared__ int sums_sh[WARPS][ROWS][OUTPUTS + 1];
  const int warp = threadIdx.x / WARP;
  const int lane = threadIdx.x % WARP;
  const int chunks = (in + CHUNK - 1) / CHUNK;
  const Share share = share_of(weight, row_scale, out_dim, tail, blockIdx.x, OUTPUTS);
  const int tiles = (share.out_dim + TILE - 1) / TILE;
  const signed char* q_gl_rd[TILES];
  const signed char* ratio_gl_rd[TILES];
#pragma unroll
  for (int t = 0; t < TILES; t++) {
    // What a last tile has not beside it is that tile once more.
    const size_t tile_chunk = static_cast<size_t>(min(share.part * TILES + t, tiles - 1)) * chunks;
    q_gl_rd[t] = share.weight + tile_chunk * TILE_BYTES + lane * PIECE;
    ratio_gl_rd[t] =
        share.weight + static_cast<size_t>(tiles) * chunks * TILE_BYTES + tile_chunk * TILE_RATIOS + lane * PIECE;
  }
  const int first_row = blockIdx.y * ROWS;
  const int rows = min(ROWS, n - first_row);
  const int piece = lane % PIECES;
  const signed char* x_gl_rd = x + static_cast<size_t>(first_row + lane / PIECES) * x_stride + piece * PIECE;
  const int slot_rows = min(ROWS, n);
  const int slots = min(MOST, (chunks + WARPS - 1) / WARPS);
  const char* mine = slots_sh + warp * slots * slot_bytes<WAY>(slot_rows);
  const uint32_t mine_sh = shared_address(mine);
  const uint32_t x_sh = mine_sh + slots * SLOT_WEIGHT;

  const auto copy_weight = [&](int chunk, int slot) {
    const uint64_t policy = read_once();
#pragma unroll
    for (int t = 0; t < TILES; t++) {
      const uint32_t to_sh = mine_sh + slot * SLOT_WEIGHT + t * WEIGHT_BYTES + lane * PIECE;
      const signed char* q = q_gl_rd[t] + static_cast<size_t>(chunk) * TILE_BYTES;
      copy_by(policy, to_sh, q);
      copy_by(policy, to_sh + TILE_BYTES / 2, q + TILE_BYTES / 2);
      if (lane < TILE_RATIOS / PIECE) {
        copy_piece(to_sh + TILE_BYTES, ratio_gl_rd[t] + static_cast<size_t>(chunk) * TILE_RATIOS, PIECE);
      }
    }
  };
  const auto copy_x = [&](int chunk, int slot) {
    const uint32_t to_sh = x_sh + slot * slot_rows * CHUNK;
    const int bytes = min(PIECE, in - chunk * CHUNK - piece * PIECE);
#pragma unroll
    for (int row = 0; row < ROWS; row += WARP / PIECES) {
      if (row + lane / PIECES < rows && bytes > 0) {
        copy_piece(to_sh + swizzled(row + lane / PIECES, piece),
                   x_gl_rd + static_cast<size_t>(row) * x_stride + chunk * CHUNK, bytes);
      }
    }
  };
  const auto operand = [&](int slot, int t) {
    const char* from = mine + slot * SLOT_WEIGHT + t * WEIGHT_BYTES;
    const uint4* words = reinterpret_cast<const uint4*>(from) + lane;
    const Ratios ratios = ratios_of(*reinterpret_cast<const unsigned*>(from + TILE_BYTES + lane / 4 * 4));
    Operand a;
    convert(words[0], ratios, a.at);
    convert(words[WARP], ratios, a.at + 8);
    return a;
  };

  int sums[TILES][ROWS / 8][4] = {};
#pragma unroll
  for (int slot = 0; slot < MOST; slot++) {
    if (warp + slot * WARPS < chunks) copy_weight(warp + slot * WARPS, slot);
  }
  // The output that this thread finishes.
  static_assert(ROWS * OUTPUTS <= THREADS, "no more than one");
  const int row = threadIdx.x / OUTPUTS;
  const int column = share.part * OUTPUTS + threadIdx.x % OUTPUTS;
  const bool finishes = row < rows && column < share.out_dim;
  const float scale = finishes ? share.row_scale[column] : 0;
  const float scale_of_x = *x_scale;
  Finish<Out> finish;
  if (finishes && !share.in_tail) finish.prepare(out, first_row + row, column);
  // Otherwise not before the wait, as what the next kernel copies would be in the way of what comes before.
  if (HELD > 0) begin_next();
  Operand held[HELD > 0 ? HELD : 1];
  if constexpr (HELD > 0) {
    end_copies();
    await_copies<0>();
    __syncwarp();
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      if (warp + k * WARPS < chunks) held[k] = operand(k, 0);
    }
  }
  await_before();
  if (HELD == 0) begin_next();
#pragma unroll
  for (int slot = 0; slot < MOST; slot++) {
    if (warp + slot * WARPS < chunks) copy_x(warp + slot * WARPS, slot);
    end_copies();
  }
  if (finishes && !share.in_tail) finish.read(out);

  // Adds products of a chunk, which lies in a slot, with what operand_of(tile) gives, and lets the slot have another.
  const auto multiply = [&](int chunk, int slot, auto operand_of) {
    await_copies<MOST - 1>();
    __syncwarp();
#pragma unroll
    for (int e = 0; e < ROWS / 8; e++) {
      int b[2][4];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        // Rows that a slot has not are columns of sums that nobody reads.
        const int row_rd = min(e * 8 + lane % 8, slot_rows - 1);
        load_pieces(b[half], x_sh + slot * slot_rows * CHUNK + swizzled(row_rd, half * 4 + lane / 8));
      }
#pragma unroll
      for (int t = 0; t < TILES; t++) {
        const Operand a = operand_of(t);
#pragma unroll
        for (int half = 0; half < 2; half++) {
          add_product(sums[t][e], a.at + half * 8, b[half][0], b[half][1]);
          add_product(sums[t][e], a.at + half * 8 + 4, b[half][2], b[half][3]);
        }
      }
    }
    __syncwarp();
    if (chunk + MOST * WARPS < chunks) {
      copy_weight(chunk + MOST * WARPS, slot);
      copy_x(chunk + MOST * WARPS, slot);
    }
    end_copies();
  };
#pragma unroll
  for (int k = 0; k < HELD; k++) {
    if (warp + k * WARPS < chunks) multiply(warp + k * WARPS, k, [&](int) { return held[k]; });
  }
  int slot = HELD < slots ? HELD : 0;
#pragma unroll 1
  for (int chunk = warp + HELD * WARPS; chunk < chunks; chunk += WARPS) {
    multiply(chunk, slot, [&](int t) { return operand(slot, t); });
    if (++slot == slots) slot = 0;
  }

#pragma unroll
  for (int t = 0; t < TILES; t++) {
#pragma unroll
    for (int e = 0; e < ROWS / 8; e++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        sums_sh[warp][e * 8 + lane % 4 * 2 + i % 2][t * TILE + lane / 4 + i / 2 * 8] = sums[t][e][i];
      }
    }
  }
  __syncthreads();
  if (!finishes) return;
  int sum = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++) sum += sums_sh[w][row][threadIdx.x % OUTPUTS];
  const float value = scaled_sum(sum, scale, scale_of_x);
  if (share.in_tail) {
    store(tail.out, first_row + row, column, value);
  } else {
    finish.store(out, first_row + row, column, value);
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_8)
linear_few8_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                      const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                      float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  few<Few8, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PAIR)
linear_pair8_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                       const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                       float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  few<Pair8, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_HELD)
linear_held8_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                       const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                       float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  few<Held8, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few16_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                       const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                       float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  few<Few16, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_8)
linear_few8_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                     const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                     signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                     int out_scale_step, int n, int in, int out_dim, const signed char* __restrict__ tail_weight,
                     const float* __restrict__ tail_row_scale, float* __restrict__ tail_out, int tail_out_stride,
                     int tail_out_dim) {
  few<Few8, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                      out_dim, {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PAIR)
linear_pair8_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                      const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                      signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                      int out_scale_step, int n, int in, int out_dim, const signed char* __restrict__ tail_weight,
                      const float* __restrict__ tail_row_scale, float* __restrict__ tail_out, int tail_out_stride,
                      int tail_out_dim) {
  few<Pair8, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                       out_dim, {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few16_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                      const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                      signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                      int out_scale_step, int n, int in, int out_dim, const signed char* __restrict__ tail_weight,
                      const float* __restrict__ tail_row_scale, float* __restrict__ tail_out, int tail_out_stride,
                      int tail_out_dim) {
  few<Few16, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                       out_dim, {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_8)
linear_few8_conv_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                          int out_scale_step, int n, int in, int out_dim, const signed char* __restrict__ tail_weight,
                          const float* __restrict__ tail_row_scale, float* __restrict__ tail_out, int tail_out_stride,
                          int tail_out_dim, const int* __restrict__ slots, const int* __restrict__ positions,
                          const float* __restrict__ conv_weight, const float* __restrict__ conv_bias,
                          const float* __restrict__ conv_in_scale, int conv_in_scale_step,
                          signed char* __restrict__ state, int state_stride, const float* __restrict__ conv_out_scale,
                          int conv_out_scale_step, int conv_first, int channels) {
  const ConvRows rows = {{out, out_stride, out_scale, out_scale_step},
                         {slots, positions, conv_weight, conv_bias, conv_in_scale, conv_in_scale_step, state,
                          state_stride, conv_out_scale, conv_out_scale_step, conv_first, channels}};
  few<Few8, ConvRows>(weight, row_scale, x, x_stride, x_scale, rows, n, in, out_dim,
                      {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PAIR)
linear_pair8_conv_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                           const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                           signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                           int out_scale_step, int n, int in, int out_dim, const signed char* __restrict__ tail_weight,
                           const float* __restrict__ tail_row_scale, float* __restrict__ tail_out, int tail_out_stride,
                           int tail_out_dim, const int* __restrict__ slots, const int* __restrict__ positions,
                           const float* __restrict__ conv_weight, const float* __restrict__ conv_bias,
                           const float* __restrict__ conv_in_scale, int conv_in_scale_step,
                           signed char* __restrict__ state, int state_stride, const float* __restrict__ conv_out_scale,
                           int conv_out_scale_step, int conv_first, int channels) {
  const ConvRows rows = {{out, out_stride, out_scale, out_scale_step},
                         {slots, positions, conv_weight, conv_bias, conv_in_scale, conv_in_scale_step, state,
                          state_stride, conv_out_scale, conv_out_scale_step, conv_first, channels}};
  few<Pair8, ConvRows>(weight, row_scale, x, x_stride, x_scale, rows, n, in, out_dim,
                       {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few16_conv_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                           const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                           signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                           int out_scale_step, int n, int in, int out_dim, const signed char* __restrict__ tail_weight,
                           const float* __restrict__ tail_row_scale, float* __restrict__ tail_out, int tail_out_stride,
                           int tail_out_dim, const int* __restrict__ slots, const int* __restrict__ positions,
                           const float* __restrict__ conv_weight, const float* __restrict__ conv_bias,
                           const float* __restrict__ conv_in_scale, int conv_in_scale_step,
                           signed char* __restrict__ state, int state_stride, const float* __restrict__ conv_out_scale,
                           int conv_out_scale_step, int conv_first, int channels) {
  const ConvRows rows = {{out, out_stride, out_scale, out_scale_step},
                         {slots, positions, conv_weight, conv_bias, conv_in_scale, conv_in_scale_step, state,
                          state_stride, conv_out_scale, conv_out_scale_step, conv_first, channels}};
  few<Few16, ConvRows>(weight, row_scale, x, x_stride, x_scale, rows, n, in, out_dim,
                       {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}
