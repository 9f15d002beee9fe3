// linear of codes by 4-bit weights, for some rows: out = f32(x * weight^T) * row_scale * x_scale
//
//   weight     packed as int4.cuh says
//   row_scale  (out_dim) f32
//   x          (n, in) codes, address and row stride multiples of 16
//   x_scale    (1) f32
//   out        (n, out_dim) f32, or codes with out_scale; any row stride
//
// Entry points, at the end: linear_narrow16_, 32_, 64_, 128_, 256_i4_i8_f32 and _i4_i8_i8, for up to that many rows, or
// for any number that many at a time. `splits`, 1, 2 or 4, blocks share the inputs of a panel of 128 outputs: as many
// as fill the device. grid (ceil(ceil(out_dim / 128) * splits / 4) * 4, ceil(n / rows)). Dynamic shared memory: 168,960,
// 201,728, 200,704, 199,680, 207,104 bytes, in the order of the entry points; none but on sm_90.
//
// The weight is the left operand, converted in registers, once for all rows of x; x is the right one, in shared memory.
// A warp copies the weight in bulk, two copy x, and two warpgroups multiply 64 outputs each: while a chunk is
// multiplied the next is converted. At the end blocks of a panel add their sums, which are integers, through shared
// memory: each does so for its part of the rows.
#include "int4.cuh"
#include "linear_out.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 384;

#ifdef WARPGROUPS

constexpr int CLUSTER = 4;  // blocks
#define IN_CLUSTERS __cluster_dims__(CLUSTER)

constexpr int X_WARPS = 2;        // that copy x
constexpr int COPIES_BEHIND = 3;  // stages of x under way when these wait for older ones
constexpr int CONSUMERS = PANEL_TILES;  // warps
constexpr int PANEL_OUTS = CONSUMERS * TILE;
constexpr int FOURS = PANEL_OUTS / 4;
constexpr int PITCH = PANEL_OUTS + 4;  // sums of a row, at the end

// As many stages as fit, but no more than a panel's inputs need.
template <int ROWS>
constexpr int STAGES_OF = ROWS == 16 || ROWS == 32 ? 16 : ROWS == 64 ? 12 : ROWS == 128 ? 8 : 5;

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

template <int ROWS, typename Out>
struct Narrow {
  static constexpr int STAGES = STAGES_OF<ROWS>;
  static constexpr int X_BYTES = ROWS * CHUNK;

  uint32_t x_sh;      // (STAGES, ROWS, CHUNK)
  const char* slots;  // (STAGES, CONSUMERS, CHUNK_BYTES)
  uint32_t full;
  uint32_t free;
  int first;  // chunk
  int count;  // of chunks

  __device__ void copy_weight(const unsigned char* w_gl_rd) const {
    constexpr int BYTES = PANEL_TILES * CHUNK_BYTES;
    Stage<STAGES> stage;
    for (int chunk = 0; chunk < count; chunk++) {
      await(free + stage.at * sizeof(uint64_t), stage.parity ^ 1);
      const uint32_t barrier = full + stage.at * sizeof(uint64_t);
      arrive_expecting(barrier, BYTES);
      copy_bulk(shared_address(slots) + stage.at * BYTES, w_gl_rd, BYTES, barrier);
      w_gl_rd += BYTES;
      stage.next();
    }
  }

  __device__ void copy_x(const signed char* x, int x_stride, int rows, int in) const {
    constexpr int ROWS_APART = X_WARPS * WARP / PIECES;
    const int index = threadIdx.x - WARP;
    const int piece = index % PIECES;
    const int copy_row = index / PIECES;
    const uint32_t x_sh_wr = x_sh + swizzled(copy_row, piece);
    const size_t x_apart = static_cast<size_t>(ROWS_APART) * x_stride;
    const signed char* x_gl_rd = x + static_cast<size_t>(copy_row) * x_stride + first * CHUNK + piece * PIECE;
    int left = in - first * CHUNK - piece * PIECE;
    Stage<STAGES> stage;
    Stage<STAGES> oldest;
    const auto complete = [&]() {
      publish_tile();
      __syncwarp();
      if (threadIdx.x % WARP == 0) arrive(full + oldest.at * sizeof(uint64_t));
      oldest.next();
    };
    for (int chunk = 0; chunk < count; chunk++) {
      await(free + stage.at * sizeof(uint64_t), stage.parity ^ 1);
      const uint32_t to_sh = x_sh_wr + stage.at * X_BYTES;
#pragma unroll 8
      for (int i = 0; i < ROWS / ROWS_APART; i++) {
        if (copy_row + i * ROWS_APART < rows && left > 0) {
          copy_piece(to_sh + i * ROWS_APART * CHUNK, x_gl_rd + i * x_apart, min(PIECE, left));
        }
      }
      end_copies();
      x_gl_rd += CHUNK;
      left -= CHUNK;
      stage.next();
      if (chunk >= COPIES_BEHIND) {
        await_copies<COPIES_BEHIND>();
        complete();
      }
    }
    await_copies<0>();
    for (int chunk = max(0, count - COPIES_BEHIND); chunk < count; chunk++) complete();
  }

  // The operands of this lane from a stage, once its copies are done.
  __device__ void operands(const Stage<STAGES>& stage, int (&a)[16]) const {
    await(full + stage.at * sizeof(uint64_t), stage.parity);
    const int lane = threadIdx.x % WARP;
    const char* slot = slots + (stage.at * CONSUMERS + threadIdx.x / WARP - WARPGROUP / WARP) * CHUNK_BYTES;
    const Ratios ratios = ratios_of(*reinterpret_cast<const unsigned*>(slot + Q_BYTES + lane / 4 * 4));
    const uint4* words = reinterpret_cast<const uint4*>(slot) + lane;
    convert(words[0], ratios, a);
    convert(words[WARP], ratios, a + 8);
  }

  // Multiplies chunk `chunk`, its operands in `a`, gives the stage of the one before back and converts the next one's
  // operands to `next`, which the one before had.
  __device__ void step(int (&sums)[ROWS / 2], int (&a)[16], int (&next)[16], int chunk, Stage<STAGES>& stage,
                       uint32_t& before) const {
    const uint64_t b = descriptor(x_sh + stage.at * X_BYTES);
    pin(sums);
    pin(a);
    begin_products();
#pragma unroll
    for (int k = 0; k < 4; k++) Product<ROWS>::add(sums, a + k * 4, b + k * 2, 1);
    end_products();
    if (chunk + 1 == count) return;
    await_products<1>();
    pin(next);
    if (chunk > 0 && threadIdx.x % WARP == 0) arrive(before);
    before = free + stage.at * sizeof(uint64_t);
    stage.next();
    operands(stage, next);
  }

  static __device__ void run(const unsigned char* weight, const float* row_scale, const signed char* x, int x_stride,
                             const float* x_scale, const Out& out, int splits, int n, int in, int out_dim) {
    extern __shared__ char dynamic_sh[];
    __shared__ uint64_t barriers_sh[2 * STAGES];
    char* const begin = dynamic_sh + (1024 - shared_address(dynamic_sh) % 1024) % 1024;
    const int warp = threadIdx.x / WARP;
    const int lane = threadIdx.x % WARP;
    const int chunks = (in + CHUNK - 1) / CHUNK;
    const int panel = blockIdx.x / splits;
    const int split = blockIdx.x % splits;
    const int first_row = blockIdx.y * ROWS;
    Narrow p;
    p.x_sh = shared_address(begin);
    p.slots = begin + STAGES * X_BYTES;
    p.full = shared_address(barriers_sh);
    p.free = p.full + STAGES * sizeof(uint64_t);
    p.first = chunks * split / splits;
    p.count = panel * PANEL_OUTS < out_dim ? chunks * (split + 1) / splits - p.first : 0;

    if (threadIdx.x == 0) {
      for (int i = 0; i < STAGES; i++) {
        init_barrier(p.full + i * sizeof(uint64_t), X_WARPS + 1);
        init_barrier(p.free + i * sizeof(uint64_t), CONSUMERS);
      }
      publish_barriers();
    }
    __syncthreads();

    if (threadIdx.x < WARPGROUP) {
      leave_registers<56>();
      if (threadIdx.x == 0) {
        p.copy_weight(weight + tile_at(panel * PANEL_TILES, chunks) +
                      static_cast<size_t>(p.first) * (PANEL_TILES * CHUNK_BYTES));
      }
      if (warp >= 1 && warp <= X_WARPS) {
        p.copy_x(x + static_cast<size_t>(first_row) * x_stride, x_stride, n - first_row, in);
      }
      __syncwarp();
      if (splits > 1) {
        sync_cluster();
        sync_cluster();
      }
    } else {
      take_registers<224>();
      const int index = threadIdx.x - WARPGROUP;
      // Of the four outputs that this thread will store, and early, as they come from far.
      const int column = panel * PANEL_OUTS + index % FOURS * 4;
      const float scale = *x_scale;
      float scales[4];
#pragma unroll
      for (int c = 0; c < 4; c++) scales[c] = row_scale[min(column + c, out_dim - 1)];

      int sums[ROWS / 2] = {};
      int a[2][16];
      Stage<STAGES> stage;
      uint32_t before = 0;
      if (p.count > 0) p.operands(stage, a[0]);
      for (int chunk = 0; chunk < p.count; chunk += 2) {
        p.step(sums, a[0], a[1], chunk, stage, before);
        if (chunk + 1 < p.count) p.step(sums, a[1], a[0], chunk + 1, stage, before);
      }
      await_products<0>();
      pin(sums);

      // (ROWS, PITCH) sums, where the stages were: every product is done, and so is every copy.
      asm volatile("bar.sync 1, %0;" ::"n"(CONSUMERS * WARP) : "memory");
      int* sums_sh = reinterpret_cast<int*>(begin);
      int* sums_sh_wr = sums_sh + lane % 4 * 2 * PITCH + (warp - WARPGROUP / WARP) * TILE + lane / 4;
#pragma unroll
      for (int i = 0; i < ROWS / 2; i++) sums_sh_wr[(i / 4 * 8 + i % 2) * PITCH + i % 4 / 2 * 8] = sums[i];
      if (splits > 1) {
        sync_cluster();
      } else {
        asm volatile("bar.sync 1, %0;" ::"n"(CONSUMERS * WARP) : "memory");
      }
      const int rows = ROWS / splits;
      const int first_rank = rank_in_cluster() - split;
      for (int i = index; i < rows * FOURS && column < out_dim; i += CONSUMERS * WARP) {
        const int row = split * rows + i / FOURS;
        if (first_row + row >= n) break;
        const int* sums_sh_rd = sums_sh + row * PITCH + i % FOURS * 4;
        int4 total = *reinterpret_cast<const int4*>(sums_sh_rd);
        for (int other = 1; other < splits; other++) {
          const int4 more = load_from(first_rank + (split + other) % splits, shared_address(sums_sh_rd));
          total = {total.x + more.x, total.y + more.y, total.z + more.z, total.w + more.w};
        }
        const float values[4] = {scaled_sum(total.x, scales[0], scale), scaled_sum(total.y, scales[1], scale),
                                 scaled_sum(total.z, scales[2], scale), scaled_sum(total.w, scales[3], scale)};
        store_four(out, first_row + row, column, out_dim, values);
      }
      __syncwarp();
      if (splits > 1) sync_cluster();  // no block leaves while another reads its sums
    }
  }
};

#else

#define IN_CLUSTERS

// Other devices: the first block of a panel computes it, a warp 16 outputs by 32 rows at a time.
template <int ROWS, typename Out>
struct Narrow {
  static __device__ void run(const unsigned char* weight, const float* row_scale, const signed char* x, int x_stride,
                             const float* x_scale, const Out& out, int splits, int n, int in, int out_dim) {
    constexpr int EIGHTS = ROWS < 32 ? ROWS / 8 : 4;
    const int lane = threadIdx.x % WARP;
    const int chunks = (in + CHUNK - 1) / CHUNK;
    const int tile = blockIdx.x / splits * PANEL_TILES + threadIdx.x / WARP;
    if (blockIdx.x % splits != 0 || threadIdx.x / WARP >= PANEL_TILES || tile * TILE >= out_dim) return;
    const int end_row = min(n, (static_cast<int>(blockIdx.y) + 1) * ROWS);
    for (int first_row = blockIdx.y * ROWS; first_row < end_row; first_row += EIGHTS * 8) {
      int sums[EIGHTS][4] = {};
      const unsigned char* w_gl_rd = weight + tile_at(tile, chunks);
      for (int chunk = 0; chunk < chunks; chunk++, w_gl_rd += PANEL_TILES * CHUNK_BYTES) {
        int a[16];
        const uint4* words = reinterpret_cast<const uint4*>(w_gl_rd) + lane;
        const Ratios ratio = ratios_of(*reinterpret_cast<const unsigned*>(w_gl_rd + Q_BYTES + lane / 4 * 4));
        convert(words[0], ratio, a);
        convert(words[WARP], ratio, a + 8);
        add_chunk<EIGHTS>(sums, a, x, x_stride, first_row, end_row, chunk, in);
      }
#pragma unroll
      for (int i = 0; i < EIGHTS * 4; i++) {
        const int row = first_row + i / 4 * 8 + lane % 4 * 2 + i % 2;
        const int column = tile * TILE + lane / 4 + i % 4 / 2 * 8;
        if (row >= end_row || column >= out_dim) continue;
        out.at[static_cast<size_t>(row) * out.stride + column] =
            element(out, column, scaled_sum(sums[i / 4][i % 4], row_scale[column], *x_scale));
      }
    }
  }
};

#endif

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow16_i4_i8_f32(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<16, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow32_i4_i8_f32(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<32, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow64_i4_i8_f32(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<64, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow128_i4_i8_f32(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                           const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                           float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<128, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow256_i4_i8_f32(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                           const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                           float* __restrict__ out, int out_stride, int splits, int n, int in, int out_dim) {
  Narrow<256, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, splits, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow16_i4_i8_i8(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                         int out_scale_step, int splits, int n, int in, int out_dim) {
  Narrow<16, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                               {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow32_i4_i8_i8(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                         int out_scale_step, int splits, int n, int in, int out_dim) {
  Narrow<32, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                               {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow64_i4_i8_i8(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                         int out_scale_step, int splits, int n, int in, int out_dim) {
  Narrow<64, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                               {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow128_i4_i8_i8(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                          int out_scale_step, int splits, int n, int in, int out_dim) {
  Narrow<128, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                                {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS
linear_narrow256_i4_i8_i8(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                          int out_scale_step, int splits, int n, int in, int out_dim) {
  Narrow<256, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                                {out, out_stride, out_scale, out_scale_step}, splits, n, in, out_dim);
}
