// linear of codes by 4-bit weights, for some rows: out = f32(x * weight^T) * row_scale * x_scale
//
//   weight     packed as int4.cuh says
//   row_scale  (out_dim) f32
//   x          (n, in) codes, address and row stride multiples of 16
//   x_scale    (1) f32
//   out        (n, out_dim) f32, or codes with out_scale; any row stride
//   tail_...   of another product of x, if tail_out_dim is not 0
//
// Entry points, at the end: linear_narrow16_, 32_, 64_, 128_, 256_i4_i8_f32 and _i4_i8_i8, for up to that many rows, or
// for any number that many at a time; 32 and 64 also with _conv, which convolve some columns. `splits`, 1, 2, 4 or 8,
// blocks share the inputs of a panel, 64 outputs or, from 128 rows on, 128: as many as keep panels * splits within the
// 5, 4, 4, 2, 1 blocks that a multiprocessor holds at once. grid (ceil(panels * splits / 8) * 8, ceil(n / rows)), the
// panels of out and those of the tail's. Dynamic shared memory: 38,656, 50,944, 50,688, 100,352, 207,104 bytes, in the
// order of the entry points; none but on sm_90.
//
// The weight is the left operand, converted in registers, once for all rows of x; x is the right one, in shared memory.
// While a chunk is multiplied the next is converted and later ones are copied. At the end blocks of a panel add their
// sums, which are integers, through shared memory: each does so for its part of the rows.
#include "linear_conv.cuh"
#include "linear_tile.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;        // of a panel of 64
constexpr int THREADS_LARGE = 256;  // of a panel of 128

#ifdef WARPGROUPS

constexpr int CLUSTER = 8;  // blocks

#define IN_CLUSTERS __cluster_dims__(CLUSTER)

// Stages: what a block in flight needs, as many blocks a multiprocessor as registers allow.
template <int ROWS>
constexpr int STAGES_OF = ROWS <= 32 ? 6 : ROWS == 256 ? 5 : 4;

template <int ROWS, int GROUPS, typename Out>
struct Narrow {
  static constexpr int STAGES = STAGES_OF<ROWS>;
  static constexpr int THREADS_ALL = GROUPS * WARPGROUP;
  static constexpr int WARPS = THREADS_ALL / WARP;
  static constexpr int X_BYTES = ROWS * CHUNK;
  static constexpr int SLOT_BYTES = TILE_BYTES + TILE_RATIOS;  // a warp's part of the weight
  static constexpr int PANEL_OUTS = GROUPS * 64;
  static constexpr int PITCH = PANEL_OUTS + 4;  // sums of a row, in the end
  static constexpr int ROWS_APART = THREADS_ALL / PIECES;

  const signed char* q_gl_rd;
  const signed char* ratio_gl_rd;
  const signed char* x_gl_rd;
  size_t x_apart;
  uint32_t x_sh;
  uint32_t slot_sh;
  int copy_rows;  // rows that exist from this thread's first on
  int in;
  bool tile_exists;

  // Starts the copies of a chunk to a stage.
  __device__ void copy(int chunk, int stage) const {
    const int lane = threadIdx.x % WARP;
    if (tile_exists) {
      const uint32_t to_sh = slot_sh + stage * WARPS * SLOT_BYTES;
      const signed char* q = q_gl_rd + static_cast<size_t>(chunk) * TILE_BYTES;
      copy_piece(to_sh + lane * PIECE, q, PIECE);
      copy_piece(to_sh + TILE_BYTES / 2 + lane * PIECE, q + TILE_BYTES / 2, PIECE);
      if (lane < TILE_RATIOS / PIECE) {
        copy_piece(to_sh + TILE_BYTES + lane * PIECE, ratio_gl_rd + static_cast<size_t>(chunk) * TILE_RATIOS, PIECE);
      }
    }
    const int piece = threadIdx.x % PIECES;
    const int copy_row = threadIdx.x / PIECES;
    const int bytes = min(PIECE, in - chunk * CHUNK - piece * PIECE);
    const uint32_t to_sh = x_sh + stage * X_BYTES + swizzled(copy_row, piece);
    const signed char* from = x_gl_rd + static_cast<size_t>(chunk) * CHUNK;
#pragma unroll
    for (int i = 0; i < (ROWS + ROWS_APART - 1) / ROWS_APART; i++) {
      if (i * ROWS_APART < copy_rows && bytes > 0) {
        copy_piece(to_sh + i * ROWS_APART * CHUNK, from + i * x_apart, bytes);
      }
    }
  }

  // The operands of this lane from a stage whose copies are done.
  __device__ void operands(const char* slots, int stage, int (&a)[16]) const {
    const int lane = threadIdx.x % WARP;
    const char* slot = slots + (stage * WARPS + threadIdx.x / WARP) * SLOT_BYTES;
    const Ratios ratios = ratios_of(*reinterpret_cast<const unsigned*>(slot + TILE_BYTES + lane / 4 * 4));
    const uint4* words = reinterpret_cast<const uint4*>(slot) + lane;
    convert(words[0], ratios, a);
    convert(words[WARP], ratios, a + 8);
  }

  // Multiplies chunk `chunk` of the block's `count`, its operands in `a`, and converts the next one's to `next`, which
  // the chunk before had.
  __device__ void step(int (&sums)[ROWS / 2], int (&a)[16], int (&next)[16], const char* slots, int chunk, int count,
                       int first, int& stage) const {
    const uint64_t b = descriptor(x_sh + stage * X_BYTES);
    const int freed = stage == 0 ? STAGES - 1 : stage - 1;
    if (++stage == STAGES) stage = 0;
    pin(sums);
    pin(a);
    begin_products();
#pragma unroll
    for (int k = 0; k < 4; k++) Product<ROWS>::add(sums, a + k * 4, b + k * 2, 1);
    end_products();
    if (chunk + 1 == count) return;
    await_copies<STAGES - 3>();
    publish_tile();
    await_products<1>();
    pin(next);
    __syncthreads();  // the next chunk is there, and nobody reads the one before
    if (chunk > 0) {
      if (chunk - 1 + STAGES < count) copy(first + chunk - 1 + STAGES, freed);
      end_copies();
    }
    operands(slots, stage, next);
  }

  static __device__ void run(const signed char* weight, const float* row_scale, const signed char* x, int x_stride,
                             const float* x_scale, const Out& out, int splits, int n, int in, int out_dim,
                             const Tail& tail) {
    extern __shared__ char dynamic_sh[];
    char* const begin = dynamic_sh + (1024 - shared_address(dynamic_sh) % 1024) % 1024;
    const char* slots = begin + STAGES * X_BYTES;
    const int warp = threadIdx.x / WARP;
    const int lane = threadIdx.x % WARP;
    const Share share = share_of(weight, row_scale, out_dim, tail, blockIdx.x / splits, PANEL_OUTS);
    const int tiles = (share.out_dim + TILE - 1) / TILE;
    const int chunks = (in + CHUNK - 1) / CHUNK;
    const int split = blockIdx.x % splits;
    const int first = chunks * split / splits;
    const bool exists = share.part * PANEL_OUTS < share.out_dim;
    const int count = exists ? chunks * (split + 1) / splits - first : 0;
    const int tile = share.part * (PANEL_OUTS / TILE) + warp;
    const size_t tile_chunk = static_cast<size_t>(tile) * chunks;
    const int first_row = blockIdx.y * ROWS;
    const int copy_row = threadIdx.x / PIECES;

    Narrow p;
    p.q_gl_rd = share.weight + tile_chunk * TILE_BYTES + lane * PIECE;
    p.ratio_gl_rd =
        share.weight + static_cast<size_t>(tiles) * chunks * TILE_BYTES + tile_chunk * TILE_RATIOS + lane * PIECE;
    p.x_gl_rd = x + static_cast<size_t>(first_row + copy_row) * x_stride + threadIdx.x % PIECES * PIECE;
    p.x_apart = static_cast<size_t>(ROWS_APART) * x_stride;
    p.x_sh = shared_address(begin);
    p.slot_sh = p.x_sh + STAGES * X_BYTES + warp * SLOT_BYTES;
    p.copy_rows = min(ROWS, n - first_row) - copy_row;
    p.in = in;
    p.tile_exists = tile < tiles;

    // Of the four outputs that this thread will store, and early, as they come from far.
    constexpr int FOURS = PANEL_OUTS / 4;
    const int column = share.part * PANEL_OUTS + threadIdx.x % FOURS * 4;
    const float scale = *x_scale;
    float scales[4];
#pragma unroll
    for (int c = 0; c < 4; c++) scales[c] = share.row_scale[min(column + c, share.out_dim - 1)];

    int sums[ROWS / 2] = {};
    for (int chunk = 0; chunk < STAGES; chunk++) {
      if (chunk < count) p.copy(first + chunk, chunk);
      end_copies();
    }
    const int rows = ROWS / splits;
    if (!share.in_tail && column < share.out_dim) {
      for (int i = threadIdx.x; i < rows * FOURS; i += THREADS_ALL) {
        const int row = first_row + split * rows + i / FOURS;
        if (row < n) prefetch(out, row, column);
      }
    }
    if (count > 0) {
      int a[2][16];
      int stage = 0;
      await_copies<STAGES - 1>();
      publish_tile();
      __syncthreads();
      p.operands(slots, 0, a[0]);
      for (int chunk = 0; chunk < count; chunk += 2) {
        p.step(sums, a[0], a[1], slots, chunk, count, first, stage);
        if (chunk + 1 < count) p.step(sums, a[1], a[0], slots, chunk + 1, count, first, stage);
      }
      await_products<0>();
      pin(a[0]);
      pin(a[1]);
      pin(sums);
      __syncthreads();
    }

    // (ROWS, PITCH) sums, where the stages were: every product is done, and so is every copy.
    int* sums_sh = reinterpret_cast<int*>(begin);
    int* sums_sh_wr = sums_sh + lane % 4 * 2 * PITCH + warp * TILE + lane / 4;
#pragma unroll
    for (int i = 0; i < ROWS / 2; i++) sums_sh_wr[(i / 4 * 8 + i % 2) * PITCH + i % 4 / 2 * 8] = sums[i];
    if (splits > 1) {
      sync_cluster();
    } else {
      __syncthreads();
    }
    const int first_rank = rank_in_cluster() - split;
    if (column < share.out_dim) {
      for (int i = threadIdx.x; i < rows * FOURS; i += THREADS_ALL) {
        const int row = split * rows + i / FOURS;
        if (first_row + row >= n) break;
        const int* sums_sh_rd = sums_sh + row * PITCH + i % FOURS * 4;
        int4 total = *reinterpret_cast<const int4*>(sums_sh_rd);
        for (int other = 1; other < splits; other++) {
          const int4 more = load_from(first_rank + (split + other) % splits, shared_address(sums_sh_rd));
          total = {total.x + more.x, total.y + more.y, total.z + more.z, total.w + more.w};
        }
        float values[4];
        const int all[4] = {total.x, total.y, total.z, total.w};
#pragma unroll
        for (int c = 0; c < 4; c++) {
          values[c] = scaled_sum(all[c], scales[c], scale);
        }
        if (share.in_tail) {
          store_four(tail.out, first_row + row, column, share.out_dim, values);
        } else {
          store_four(out, first_row + row, column, share.out_dim, values);
        }
      }
    }
    if (splits > 1) sync_cluster();  // no block leaves while another reads its sums
  }
};

#else

#define IN_CLUSTERS

// Other devices: the first block of a panel computes all of it, a warp 16 outputs by 32 rows at a time.
template <int ROWS, int GROUPS, typename Out>
struct Narrow {
  static __device__ void run(const signed char* weight, const float* row_scale, const signed char* x, int x_stride,
                             const float* x_scale, const Out& out, int splits, int n, int in, int out_dim,
                             const Tail& tail) {
    constexpr int EIGHTS = ROWS < 32 ? ROWS / 8 : 4;
    const Share share = share_of(weight, row_scale, out_dim, tail, blockIdx.x / splits, GROUPS * 4 * TILE);
    const int tile = share.part * GROUPS * 4 + threadIdx.x / WARP;
    if (blockIdx.x % splits != 0 || tile >= (share.out_dim + TILE - 1) / TILE) return;
    const int end_row = min(n, (static_cast<int>(blockIdx.y) + 1) * ROWS);
    compute_tile<EIGHTS>(share, tile, x, x_stride, x_scale, out, tail, blockIdx.y * ROWS, end_row, in);
  }
};

#endif

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, 5) IN_CLUSTERS
linear_narrow16_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<16, 1, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) IN_CLUSTERS
linear_narrow32_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<32, 1, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) IN_CLUSTERS
linear_narrow64_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<64, 1, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS_LARGE, 2) IN_CLUSTERS
linear_narrow128_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                           const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                           float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<128, 2, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim,
                                 {});
}

extern "C" __global__ void __launch_bounds__(THREADS_LARGE, 1) IN_CLUSTERS
linear_narrow256_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                           const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                           float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<256, 2, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim,
                                 {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 5) IN_CLUSTERS
linear_narrow16_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                         int out_scale_step, int splits, int n, int in, int out_dim,
                         const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                         float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Narrow<16, 1, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                               {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim,
                               {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) IN_CLUSTERS
linear_narrow32_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                         int out_scale_step, int splits, int n, int in, int out_dim,
                         const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                         float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Narrow<32, 1, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                               {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim,
                               {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) IN_CLUSTERS
linear_narrow64_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                         int out_scale_step, int splits, int n, int in, int out_dim,
                         const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                         float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Narrow<64, 1, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                               {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim,
                               {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS_LARGE, 2) IN_CLUSTERS
linear_narrow128_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                          int out_scale_step, int splits, int n, int in, int out_dim,
                          const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                          float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Narrow<128, 2, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                                {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim,
                                {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS_LARGE, 1) IN_CLUSTERS
linear_narrow256_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                          int out_scale_step, int splits, int n, int in, int out_dim,
                          const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                          float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Narrow<256, 2, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                                {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim,
                                {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) IN_CLUSTERS
linear_narrow32_conv_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                              const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                              signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                              int out_scale_step, int splits, int n, int in, int out_dim,
                              const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                              float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim,
                              const int* __restrict__ slots, const int* __restrict__ positions,
                              const float* __restrict__ conv_weight, const float* __restrict__ conv_bias,
                              const float* __restrict__ conv_in_scale, int conv_in_scale_step,
                              signed char* __restrict__ state, int state_stride,
                              const float* __restrict__ conv_out_scale, int conv_out_scale_step, int conv_first,
                              int channels) {
  const ConvRows rows = {{out, out_stride, out_scale, out_scale_step},
                         {slots, positions, conv_weight, conv_bias, conv_in_scale, conv_in_scale_step, state,
                          state_stride, conv_out_scale, conv_out_scale_step, conv_first, channels}};
  Narrow<32, 1, ConvRows>::run(weight, row_scale, x, x_stride, x_scale, rows, splits, n, in, out_dim,
                               {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) IN_CLUSTERS
linear_narrow64_conv_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                              const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                              signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                              int out_scale_step, int splits, int n, int in, int out_dim,
                              const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                              float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim,
                              const int* __restrict__ slots, const int* __restrict__ positions,
                              const float* __restrict__ conv_weight, const float* __restrict__ conv_bias,
                              const float* __restrict__ conv_in_scale, int conv_in_scale_step,
                              signed char* __restrict__ state, int state_stride,
                              const float* __restrict__ conv_out_scale, int conv_out_scale_step, int conv_first,
                              int channels) {
  const ConvRows rows = {{out, out_stride, out_scale, out_scale_step},
                         {slots, positions, conv_weight, conv_bias, conv_in_scale, conv_in_scale_step, state,
                          state_stride, conv_out_scale, conv_out_scale_step, conv_first, channels}};
  Narrow<64, 1, ConvRows>::run(weight, row_scale, x, x_stride, x_scale, rows, splits, n, in, out_dim,
                               {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}
