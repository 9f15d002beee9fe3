// linear of codes by 8-bit weights, for many rows: out = f32(x * weight^T) * row_scale * x_scale
//
//   weight     codes, packed (ceil(in / CHUNK), rows, CHUNK), rows = out_dim up to a multiple of 8, zeros where the
//              matrix has no element, 16-byte pieces of a row exchanged: input i of output o lies at
//                (i / CHUNK * rows + o) * CHUNK + (i % CHUNK / 16 ^ o % 8) * 16 + i % 16
//   row_scale  (out_dim) f32
//   x          (n, in) codes, address and row stride multiples of 16
//   x_scale    (1) f32
//   out        (n, out_dim) f32, or codes with out_scale; any row stride
//   tail_...   of another product of x, packed the same way, if tail_out_dim is not 0
//
// Entry points, at the end: linear_wide256_, 192_, 160_, 128_, 96_, 64_i8_i8_f32 and _i8_i8_i8. The number is outputs
// of a tile; one of the tail has 128, if that is less. `splits` blocks, 1 or 2, share the inputs of a tile, 2 only of
// as many chunks. CudaLinearForm tells what is best. grid: two blocks a tile if they share it; else an even number, a
// block a multiprocessor, or one a tile, if there are fewer. Dynamic shared memory: 214,016 bytes, for 192 outputs
// 222,208, for 160 201,728, for 96 218,112, of which 1,024 to begin at a multiple of that, and 16,384 for outputs on
// their way; none but on sm_90.
//
// A block goes from tile to tile. On sm_90 its first warpgroup copies: x a piece a thread, as rows lie anywhere, and
// the weight in bulk, as it is packed for that. The two others multiply, half of the rows each. Blocks that share a
// tile are a cluster: each adds the sums of both, which are integers, for half of the columns.
#include "linear_tail.cuh"
#include "linear_wide.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 384;

#ifdef WARPGROUPS

constexpr int PAIR = 2;  // blocks of a cluster
constexpr int X_BYTES = TILE_ROWS * CHUNK;
constexpr int OUT_STAGE = 16 * CHUNK;  // of a warp

#define IN_CLUSTERS __cluster_dims__(PAIR)

// Stages of a tile COLUMNS wide, 180 to 200 KiB.
template <int COLUMNS>
constexpr int STAGES_OF = 200 * 1024 / ((TILE_ROWS + COLUMNS) * CHUNK);

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

template <int COLUMNS, typename Out>
struct Wide {
  static constexpr int STAGES = STAGES_OF<COLUMNS>;
  static constexpr int STAGE_BYTES = X_BYTES + COLUMNS * CHUNK;
  static constexpr int CONSUMERS = THREADS - WARPGROUP;
  static constexpr bool HAS_TAIL = sizeof(typename Out::Element) == 1;

  uint32_t stages_sh;
  uint32_t full;  // barriers, one a stage
  uint32_t free;
  int n, in;
  int rank;  // in the cluster, if its blocks share a tile
  int first_chunk, chunks;  // of the inputs

  // Copies what a tile is computed from, so many columns of a matrix with out_dim.
  __device__ void produce(const WideTile& tile, const signed char* weight, int columns, int out_dim,
                          const signed char* x, int x_stride, Stage<STAGES>& stage) const {
    constexpr int ROWS_APART = WARPGROUP / PIECES;
    const int piece = threadIdx.x % PIECES;
    const int copy_row = threadIdx.x / PIECES;
    const int x_rows = n - tile.row - copy_row;
    const size_t x_apart = static_cast<size_t>(ROWS_APART) * x_stride;
    const signed char* x_gl_rd =
        x + static_cast<size_t>(tile.row + copy_row) * x_stride + first_chunk * CHUNK + piece * PIECE;
    const uint32_t x_sh_wr = stages_sh + swizzled(copy_row, piece);
    const int rows = (out_dim + 7) / 8 * 8;
    const int w_bytes = min(columns, rows - tile.column) * CHUNK;
    const size_t w_apart = static_cast<size_t>(rows) * CHUNK;
    const signed char* w_gl_rd = weight + first_chunk * w_apart + static_cast<size_t>(tile.column) * CHUNK;
#pragma unroll 1
    for (int chunk = first_chunk; chunk < first_chunk + chunks; chunk++) {
      const uint32_t barrier = full + stage.at * sizeof(uint64_t);
      const uint32_t stage_sh = stage.at * STAGE_BYTES;
      await(free + stage.at * sizeof(uint64_t), stage.parity ^ 1);
      if (threadIdx.x == 0) {
        arrive_expecting(barrier, w_bytes);
        copy_bulk(stages_sh + stage_sh + X_BYTES, w_gl_rd, w_bytes, barrier);
      }
      const int bytes = min(PIECE, in - chunk * CHUNK - piece * PIECE);
#pragma unroll
      for (int i = 0; i < TILE_ROWS / ROWS_APART; i++) {
        if (i * ROWS_APART < x_rows && bytes > 0) {
          copy_piece(x_sh_wr + stage_sh + i * ROWS_APART * CHUNK, x_gl_rd + i * x_apart, bytes);
        }
      }
      arrive_copied(barrier);
      stage.next();
      x_gl_rd += CHUNK;
      w_gl_rd += w_apart;
    }
  }

  // Adds the products of this block's chunks.
  template <int COUNT>
  __device__ void multiply(int (&sums)[COUNT / 2], int group, Stage<STAGES>& stage) const {
    const int lane = threadIdx.x % WARP;
    uint32_t before = 0;  // the barrier of the stage that is being multiplied
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; chunk++) {
      await(full + stage.at * sizeof(uint64_t), stage.parity);
      publish_tile();
      const uint32_t tile_sh = stages_sh + stage.at * STAGE_BYTES;
      const uint64_t a = descriptor(tile_sh + group * X_BYTES / 2);
      const uint64_t b = descriptor(tile_sh + X_BYTES);
      pin(sums);
      begin_products();
#pragma unroll
      for (int k = 0; k < 4; k++) Product<COUNT>::add(sums, a + k * 2, b + k * 2, 1);
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
  }

  // Adds what the other block of the cluster has of the tile to this one's half of the columns, the first half of sums
  // from now on.
  template <int COUNT>
  __device__ void add_other(int (&sums)[COUNT / 2]) const {
    constexpr int HALF = COUNT / 4;
    constexpr int APART = CONSUMERS * sizeof(int4);
    const uint32_t at_sh = stages_sh + (threadIdx.x - WARPGROUP) * sizeof(int4);
    sync_warpgroup<CONSUMERS / WARPGROUP>(3);  // the stages are read
    if (rank == 0) {
#pragma unroll
      for (int i = 0; i < HALF; i += 4) give(sums + HALF + i, at_sh + i / 4 * APART);
    } else {
#pragma unroll
      for (int i = 0; i < HALF; i += 4) give(sums + i, at_sh + i / 4 * APART);
#pragma unroll
      for (int i = 0; i < HALF; i++) sums[i] = sums[HALF + i];
    }
    sync_cluster();
    const uint32_t there = address_at(1 - rank, at_sh);
#pragma unroll
    for (int i = 0; i < HALF; i += 4) {
      const int4 four = load_there(there + i / 4 * APART);
      sums[i] += four.x;
      sums[i + 1] += four.y;
      sums[i + 2] += four.z;
      sums[i + 3] += four.w;
    }
    arrive_in_cluster();
  }

  static __device__ void give(const int* four, uint32_t to_sh) {
    store_piece(to_sh, {four[0], four[1], four[2], four[3]});
  }

  // Computes a tile COUNT columns wide.
  template <int COUNT, typename To>
  __device__ void consume(const WideTile& tile, const To& to, const float* row_scale, int out_dim, float x_scale,
                          bool splitting, float* scales_sh, char* out_stage, Stage<STAGES>& stage) const {
    const int group = threadIdx.x / WARPGROUP - 1;
    const int row = tile.row + (threadIdx.x - WARPGROUP) / WARP * 16;
    const int column = tile.column + rank * COUNT / 2;
    const int columns = min(splitting ? COUNT / 2 : COUNT, out_dim - column);
    const WideScales<COUNT> scales(to, row_scale, column, out_dim);
    int sums[COUNT / 2] = {};
    multiply<COUNT>(sums, group, stage);
    sync_warpgroup(1 + group);  // the last tile's scales are read
    const bool usual = all_of_warpgroup(1 + group, scales.share(to, scales_sh, x_scale, in));
    if (splitting) add_other<COUNT>(sums);
    store<COUNT>(sums, to, {out_stage, scales_sh, x_scale, usual, row, n - row, column, columns});
  }

  static __device__ void run(const signed char* weight, const float* row_scale, const signed char* x, int x_stride,
                             const float* x_scale, const Out& out, int splits, int n, int in, int out_dim,
                             const Tail& tail) {
    extern __shared__ char dynamic_sh[];
    __shared__ alignas(8) float scales_sh[CONSUMERS / WARPGROUP][3 * WideScales<COLUMNS>::PITCH];
    __shared__ uint64_t barriers_sh[2 * STAGES];
    const bool splitting = splits == PAIR;
    const int chunks = (in + CHUNK - 1) / CHUNK;
    const WideTiles<COLUMNS> tiles(n, out_dim, tail.out_dim);
    Wide wide;
    wide.stages_sh = (shared_address(dynamic_sh) + 1023) / 1024 * 1024;
    wide.full = shared_address(barriers_sh);
    wide.free = wide.full + STAGES * sizeof(uint64_t);
    wide.n = n;
    wide.in = in;
    wide.rank = splitting ? rank_in_cluster() : 0;
    wide.first_chunk = chunks * wide.rank / PAIR;
    wide.chunks = splitting ? chunks * (wide.rank + 1) / PAIR - wide.first_chunk : chunks;
    const int first = splitting ? blockIdx.x / PAIR : blockIdx.x;
    const int apart = splitting ? tiles.count : gridDim.x;
    Stage<STAGES> stage;

    begin_next();
    if (threadIdx.x == 0) {
#pragma unroll 1
      for (int i = 0; i < STAGES; i++) {
        init_barrier(wide.full + i * sizeof(uint64_t), WARPGROUP + 1);
        init_barrier(wide.free + i * sizeof(uint64_t), CONSUMERS / WARP);
      }
      publish_barriers();
    }
    __syncthreads();
    await_before();

    if (threadIdx.x < WARPGROUP) {
      leave_registers<72>();
      for (int index = first; index < tiles.count; index += apart) {
        const WideTile tile = tiles.at(index);
        const bool in_tail = HAS_TAIL && tile.in_tail;
        wide.produce(tile, in_tail ? tail.weight : weight, in_tail ? TAIL_OF<COLUMNS> : COLUMNS,
                     in_tail ? tail.out_dim : out_dim, x, x_stride, stage);
      }
      if (splitting) {
        sync_cluster();
        arrive_in_cluster();
      }
    } else {
      take_registers<216>();
      const float scale = *x_scale;
      float* const scales = scales_sh[threadIdx.x / WARPGROUP - 1];
      char* const out_stage = dynamic_sh + (wide.stages_sh - shared_address(dynamic_sh)) + STAGES * STAGE_BYTES +
                              (threadIdx.x - WARPGROUP) / WARP * OUT_STAGE;
      for (int index = first; index < tiles.count; index += apart) {
        const WideTile tile = tiles.at(index);
        if (HAS_TAIL && tile.in_tail) {
          wide.template consume<TAIL_OF<COLUMNS>>(tile, tail.out, tail.row_scale, tail.out_dim, scale, splitting,
                                                  scales, out_stage, stage);
        } else {
          wide.template consume<COLUMNS>(tile, out, row_scale, out_dim, scale, splitting, scales, out_stage, stage);
        }
      }
    }
    if (splitting) await_cluster();  // no block leaves while the other reads its sums
  }
};

#else

#define IN_CLUSTERS

// Other devices: a warp computes 16 rows of x by 8 outputs at a time, straight from global memory.
template <int COLUMNS, typename Out>
struct Wide {
  static __device__ void run(const signed char* weight, const float* row_scale, const signed char* x, int x_stride,
                             const float* x_scale, const Out& out, int, int n, int in, int out_dim, const Tail& tail) {
    const int lane = threadIdx.x % WARP;
    const int down = (n + 15) / 16;
    const int across = (out_dim + 7) / 8 + (tail.out_dim + 7) / 8;
    const int warps = gridDim.x * (THREADS / WARP);
    for (int index = blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP; index < down * across; index += warps) {
      const Share share = share_of(weight, row_scale, out_dim, tail, index / down, 8);
      const int rows = (share.out_dim + 7) / 8 * 8;
      const int row = index % down * 16 + lane / 4;
      const int column = share.part * 8;
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
          const signed char* tile = share.weight + (static_cast<size_t>(at / CHUNK) * rows + column) * CHUNK;
          b[h] = *reinterpret_cast<const int*>(tile + swizzled(lane / 4, at % CHUNK / PIECE) + at % PIECE);
        }
        add_product(sums, a, b[0], b[1]);
      }
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const int at_row = row + k / 2 * 8;
        const int c = column + lane % 4 * 2 + k % 2;
        if (at_row >= n || c >= share.out_dim) continue;
        const float value = scaled_sum(sums[k], share.row_scale[c], *x_scale);
        if (share.in_tail) {
          store(tail.out, at_row, c, value);
        } else {
          store(out, at_row, c, value);
        }
      }
    }
  }
};

#endif

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide256_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Wide<256, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide192_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Wide<192, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide160_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Wide<160, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide128_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Wide<128, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide96_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Wide<96, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide64_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Wide<64, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide256_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                        int out_scale_step, int splits, int n, int in, int out_dim,
                        const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                        float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Wide<256, CodeRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step},
                           splits, n, in, out_dim,
                           {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide192_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                        int out_scale_step, int splits, int n, int in, int out_dim,
                        const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                        float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Wide<192, CodeRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step},
                           splits, n, in, out_dim,
                           {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide160_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                        int out_scale_step, int splits, int n, int in, int out_dim,
                        const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                        float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Wide<160, CodeRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step},
                           splits, n, in, out_dim,
                           {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide128_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                        const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                        signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                        int out_scale_step, int splits, int n, int in, int out_dim,
                        const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                        float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Wide<128, CodeRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step},
                           splits, n, in, out_dim,
                           {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide96_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                       const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                       signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                       int out_scale_step, int splits, int n, int in, int out_dim,
                       const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                       float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Wide<96, CodeRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step},
                          splits, n, in, out_dim,
                          {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_wide64_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                       const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                       signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                       int out_scale_step, int splits, int n, int in, int out_dim,
                       const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                       float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Wide<64, CodeRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step},
                          splits, n, in, out_dim,
                          {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}
