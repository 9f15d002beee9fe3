// linear of codes by 4-bit weights, for tens of rows: out = f32(x * weight^T) * row_scale * x_scale
//
//   weight     packed as int4.cuh says
//   row_scale  (out_dim) f32
//   x          (n, in) codes, address and row stride multiples of 16
//   x_scale    (1) f32
//   out        (n, out_dim) f32, or codes with out_scale; any row stride
//   tail_...   of another product of x, if tail_out_dim is not 0
//
// Entry points, at the end: linear_sliced32_, linear_sliced64_i4_i8_f32 and _i4_i8_i8, for up to that many rows, or for
// any number that many at a time; those with _conv convolve some columns. A cluster of 2 blocks, or of 4 in entries with
// 32x4 or 64x4, shares the inputs, at most SLICE / rows chunks a block. Grid (as many clusters as run at once,
// ceil(n / rows)).
// Dynamic shared memory: 232,448 bytes, which is all of a multiprocessor; none but on sm_90.
//
// A block keeps its slice of x, the rows by its inputs, and goes from panel to panel of 64 outputs, a warpgroup each.
// The weight is the left operand, which a warp copies ahead and converts in registers, once for all rows; x lies in
// shared memory. One more warpgroup copies x. The blocks of a cluster send each other the sums of a panel, which are
// integers: each adds those of its rows.
#include "linear_sliced.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 512;
constexpr int PAIR = 2;  // blocks of a cluster
constexpr int FOUR = 4;

#ifdef WARPGROUPS

#define IN_CLUSTERS_OF_2 __cluster_dims__(PAIR)
#define IN_CLUSTERS_OF_4 __cluster_dims__(FOUR)

constexpr int SHARED_BYTES = 232448;
constexpr int SLICE = 1024;                      // rows times chunks of x that a block keeps
constexpr int GROUPS = THREADS / WARPGROUP - 1;  // that multiply
constexpr int BEGIN = GROUPS + 1;                // names of barriers, behind those of each group
constexpr int BEGIN_X = GROUPS + 2;
constexpr int X_AHEAD = 6;                       // pairs of chunks of x that are copied at a time

template <int ROWS, int CLUSTER, typename Out>
struct Sliced {
  static constexpr int DEALT = Dealt<ROWS, CLUSTER>::MOST;
  static constexpr int X_BYTES = ROWS * CHUNK;
  static constexpr int X_BARRIERS = SLICE / ROWS / 2;  // of pairs of chunks
  static constexpr int BARRIERS = X_BARRIERS + 2 * GROUPS;
  static constexpr int RECEIVED_BYTES = Dealt<ROWS, CLUSTER>::RECEIVED_BYTES;  // of a warpgroup
  static constexpr int CODES_BYTES = CODES<Out> ? DEALT * 8 * CODES_PITCH : 0;  // of a warpgroup
  static constexpr int ENDS_AT = SHARED_BYTES - BARRIERS * 8 - PIECE - ROWS * 4;

  const Work& work;
  const Dealt<ROWS, CLUSTER>& dealt;
  const Out& out;
  const float* x_scale;
  uint32_t x_sh;
  uint32_t x_bars_sh;
  float* scale_sh;
  int* states_sh;  // of rows

  __device__ bool has(int k) const { return work.has(k, CLUSTER); }

  // ---- the warpgroup that copies x

  // By one thread.
  __device__ void init_barriers() const {
#pragma unroll
    for (int i = 0; i < BARRIERS; i++) {
      const int at = i - X_BARRIERS;
      init_barrier(x_bars_sh + i * 8, at < 0 ? WARPGROUP : at < GROUPS ? 1 : max(1, dealt.peers));
    }
    publish_barriers();
  }

  __device__ void load(const signed char* x, int x_stride, int in) const {
    constexpr int APART = WARP / PIECES;
    constexpr int EACH = ROWS / TILES;  // rows of a warp
    const int mine = threadIdx.x % WARPGROUP;
    const int piece = mine % PIECES;
    const int row = mine / WARP * EACH + mine % WARP / PIECES;
    const float scale = *x_scale;
    await_before();
    const int state = CONVOLVES<Out> && mine < dealt.rows ? state_of(out, dealt.first_row + mine) : 0;
    const signed char* x_gl_rd =
        x + static_cast<size_t>(dealt.first_row + row) * x_stride + work.first * CHUNK + piece * PIECE;
    const size_t apart = static_cast<size_t>(APART) * x_stride;
    uint32_t to_sh[2] = {x_sh + swizzled(row, piece), x_sh + swizzled(row + APART, piece)};
    int left = in - work.first * CHUNK - piece * PIECE;
    const int pairs = max(1, (work.count + 1) / 2);
    const auto copy = [&](int pair) {
#pragma unroll 1
      for (int chunk = pair * 2; chunk < min(pair * 2 + 2, work.count); chunk++) {
        const signed char* from = x_gl_rd;
#pragma unroll
        for (int k = 0; k < EACH / APART; k++) {
          if (left > 0 && row + k * APART < dealt.rows) {
            copy_piece(to_sh[k % 2] + k / 2 * 2 * APART * CHUNK, from, min(PIECE, left));
          }
          from += apart;
        }
        x_gl_rd += CHUNK;
        left -= CHUNK;
        to_sh[0] += X_BYTES;
        to_sh[1] += X_BYTES;
      }
      end_copies();
    };
#pragma unroll 1
    for (int pair = 0; pair < X_AHEAD - 1; pair++) copy(pair);
    if (mine < WARP) {
      if (mine == 0) init_barriers();
      __syncwarp();
      arrive_named(BEGIN, GROUPS * WARPGROUP + WARP);
    }
    appear_in_cluster();
    sync_warpgroup(BEGIN_X);  // the barriers are there
#pragma unroll 1
    for (int pair = 0; pair < pairs; pair++) {
      copy(pair + X_AHEAD - 1);
      if (pair == pairs - 1) {  // they come from far, and are not needed before
        if (mine == 0) *scale_sh = scale;
        if (mine < dealt.rows) states_sh[mine] = state;
      }
      await_copies<X_AHEAD - 1>();
      publish_tile();
      arrive(x_bars_sh + pair * 8);
    }
    if constexpr (CONVOLVES<Out>) {
      await(x_bars_sh + (pairs - 1) * 8, 0);  // the states are there
      prefetch_steps(out, work, dealt, states_sh);
    }
  }

  // ---- the others

  // The outputs of a tile, stored if they are f32 and otherwise left as codes in shared memory.
  __device__ void scale(int (&sums)[ROWS / 2], const Share& share, const float (&row_scales)[2],
                        const float (&scales)[2], char* codes) const {
    const int lane = threadIdx.x % WARP;
    const float scale = *scale_sh;
    if (!CODES<Out> || share.in_tail) {
      const FloatRows& floats = float_rows(out, work.tail);
#pragma unroll 1
      for (int i = 0; i < dealt.live; i++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
          const int row = dealt.row_of(i, lane % 4 * 2 + c % 2);
          const int column = share.part * TILE + lane / 4 + c / 2 * 8;
          if (row < dealt.rows && column < share.out_dim) {
            store(floats, dealt.first_row + row, column, scaled_sum(sums[c], row_scales[c / 2], scale));
          }
        }
        move_up<4>(sums);
      }
      return;
    }
    const float inverses[2] = {inverse_of(scales[0]), inverse_of(scales[1])};
    char* codes_sh_wr = codes + lane % 4 * 2 * CODES_PITCH + threadIdx.x / WARP % TILES * TILE + lane / 4;
#pragma unroll 1
    for (int i = 0; i < dealt.live; i++) {
      float values[4];
      unsigned bits[4];
      bool certain = true;
#pragma unroll
      for (int c = 0; c < 4; c++) {
        values[c] = scaled_sum(sums[c], row_scales[c / 2], scale);
        const NearCode near = near_code_of(values[c] * inverses[c / 2]);
        bits[c] = near.bits;
        certain = certain && near.certain;
      }
      if (!certain) {
        float of[4] = {scales[0], scales[0], scales[1], scales[1]};
#pragma unroll 1
        for (int c = 0; c < 4; c++) {
          append(bits, code_of(values[0], of[0], inverse_of(of[0])));
          move_up<1>(values);
          move_up<1>(of);
        }
      }
#pragma unroll
      for (int c = 0; c < 4; c++) {
        codes_sh_wr[(i * 8 + c % 2) * CODES_PITCH + c / 2 * 8] = static_cast<char>(bits[c]);
      }
      move_up<4>(sums);
    }
  }

  // Panels of this warpgroup.
  __device__ void compute(Feed<CLUSTER, GROUPS>& feed, const char* slots_begin, uint32_t slots_sh, int slots, int warp,
                          char* received, char* codes) const {
    const int lane = threadIdx.x % WARP;
    const int mine = threadIdx.x % WARPGROUP;
    const int group = warp / TILES;
    const int place = warp % TILES;
    const uint32_t ready_sh = x_bars_sh + (X_BARRIERS + group) * 8;
    const uint32_t free_sh = ready_sh + GROUPS * 8;
    const int ratio_at = 2 * TILE_BYTES + lane / 4 * 4 - lane * PIECE;
    uint32_t slot_sh = feed.first_sh;
    int parity = 0;
#pragma unroll 1
    for (int k = group * TILES; has(k); k += GROUPS * TILES) {
      const bool is_first = k < GROUPS * TILES;
      const bool is_last = !has(k + GROUPS * TILES);
      const bool exists = has(k + place);
      const Share share = work.share(Work::tile(exists ? k + place : k, CLUSTER));
      if (mine == 0 && dealt.live > 0) arrive_expecting(ready_sh, dealt.expected());

      // Of the two outputs of this thread, and early, as they come from far.
      float row_scales[2];
      float scales[2] = {};
#pragma unroll
      for (int r = 0; r < 2; r++) {
        const int column = share.part * TILE + lane / 4 + r * 8;
        row_scales[r] = share.row_scale[min(column, share.out_dim - 1)];
        if constexpr (CODES<Out>) {
          const CodeRows& rows_out = code_rows(out);
          scales[r] = rows_out.scale[share.in_tail ? 0 : min(column, work.out_dim - 1) * rows_out.step];
        }
      }

      int sums[ROWS / 2] = {};
      int a[2][16] = {};
      uint32_t b = static_cast<uint32_t>(descriptor(x_sh));
      // Converts the operands of the next chunk, and between them begins products of this one if it `multiplies`. After
      // the last chunk these are operands of nothing.
      const auto step = [&](int (&from)[16], int (&to)[16], int half, bool multiplies) {
        const char* next = slots_begin + (slot_sh - slots_sh);
        const Ratios ratios = ratios_of(*reinterpret_cast<const unsigned*>(next + ratio_at + half * TILE_RATIOS));
        const uint4 words[2] = {reinterpret_cast<const uint4*>(next + half * TILE_BYTES)[0],
                                reinterpret_cast<const uint4*>(next + half * TILE_BYTES)[WARP]};
        if (multiplies) {
          pin(sums);
          pin(from);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
          if (multiplies) {
            begin_products();
            Product<ROWS>::add(sums, from + i * 4, (descriptor(0) & 0xffffffff00000000) | (b + i * 2), 1);
            if (i == 0 || i == 3) end_products();
            if (i == 0) {
              await_products<1>();
              pin(to);
            }
          }
          convert_half(words[i / 2], i % 2, ratios, to + i * 4);
        }
        if (multiplies) b += X_BYTES / 16;
      };
      if (work.count > 0) {
        if (exists) feed.await_slot(slots);
        step(a[1], a[0], 0, false);
      }
#pragma unroll 1
      for (int chunk = 0; chunk < work.count; chunk += 2) {
        if (is_first) await(x_bars_sh + chunk / 2 * 8, 0);
        step(a[0], a[1], 1, true);
        if (exists) {
          __syncwarp();
          feed.next();
          slot_sh = feed.after(slot_sh);
        }
        if (chunk + 1 == work.count) break;
        if (exists && chunk + 2 < work.count) feed.await_slot(slots);
        step(a[1], a[0], 0, true);
      }
      await_products<0>();
      pin(a[0]);
      pin(a[1]);
      pin(sums);

      if (is_first) {
        await_cluster();
        await(x_bars_sh + (max(work.count, 1) - 1) / 2 * 8, 0);  // all that x's warpgroup wrote
      } else if (dealt.peers > 0) {
        await(free_sh, parity ^ 1);
      }
      dealt.push(sums, shared_address(received), ready_sh);
      if (dealt.live > 0) {
        // Of the four columns that this thread will store.
        const int column = Work::tile(k + mine % FOURS / 4, CLUSTER) * TILE + mine % 4 * 4;
        unsigned old[DEALT * (TAPS - 1)];
        ConvFour four;
        bool convolves = false;
        if constexpr (CONVOLVES<Out>) {
          convolves = column < work.out_dim && out.convolves(column);
          if (convolves) {
            four.load(out.conv, column - out.conv.first);
#pragma unroll
            for (int i = 0; i < DEALT; i++) {
              const int state = states_sh[min(dealt.row_of(i, mine / FOURS), dealt.rows - 1)];
              const signed char* from = history(out.conv, state, column - out.conv.first);
#pragma unroll
              for (int t = 0; t < TAPS - 1; t++) {
                old[i * (TAPS - 1) + t] = *reinterpret_cast<const unsigned*>(from + t * out.conv.channels);
              }
            }
          }
        }
        await(ready_sh, parity);
        dealt.gather(sums, received);
        if (exists) scale(sums, share, row_scales, scales, codes);
        if (CODES<Out> || !is_last) sync_warpgroup(1 + group);
        if (!is_last && mine < CLUSTER - 1) arrive_there(address_at((dealt.split + 1 + mine) % CLUSTER, free_sh));
        if constexpr (CODES<Out>) {
          const char* codes_sh_rd = codes + mine / FOURS * CODES_PITCH + mine % FOURS * 4;
          if (convolves) {
            if constexpr (CONVOLVES<Out>) convolve(out, dealt, states_sh, four, old, column, codes_sh_rd);
          } else if (column < work.out_dim) {
#pragma unroll 1
            for (int i = 0; i < dealt.live; i++) {
              const int row = dealt.row_of(i, mine / FOURS);
              if (row >= dealt.rows) break;
              put_four(code_rows(out), dealt.first_row + row, column, work.out_dim,
                       *reinterpret_cast<const char4*>(codes_sh_rd + i * 8 * CODES_PITCH));
            }
          }
          if (!is_last) sync_warpgroup(1 + group);  // nobody reads the codes any more
        }
      }
      parity ^= 1;
    }
  }

  static __device__ void run(const signed char* weight, const float* row_scale, const signed char* x, int x_stride,
                             const float* x_scale, const Out& out, int n, int in, int out_dim, const Tail& tail) {
    extern __shared__ __align__(1024) char dynamic_sh[];
    const int warp = __shfl_sync(ALL_LANES, static_cast<int>(threadIdx.x / WARP), 0);  // of which the compiler knows
    const int group = warp / TILES;
    begin_next();
    const Dealt<ROWS, CLUSTER> dealt(n);
    const int chunks = (in + CHUNK - 1) / CHUNK;
    const int first = chunks * dealt.split / CLUSTER;
    const int count = chunks * (dealt.split + 1) / CLUSTER - first;
    const Work work = {weight, row_scale, out_dim, tail, chunks, first, count};

    // x, what is received, codes and slots; then barriers, x_scale and the rows' states.
    char* const received = dynamic_sh + (chunks + CLUSTER - 1) / CLUSTER * X_BYTES;
    char* const codes = received + GROUPS * RECEIVED_BYTES;
    char* const slots_begin = codes + GROUPS * CODES_BYTES;
    char* const ends = dynamic_sh + ENDS_AT;
    const int slots = min(MOST_SLOTS, static_cast<int>(ends - slots_begin) / (GROUPS * TILES * SLOT_BYTES));
    const Sliced sliced = {work,
                           dealt,
                           out,
                           x_scale,
                           shared_address(dynamic_sh),
                           shared_address(ends),
                           reinterpret_cast<float*>(ends + BARRIERS * 8),
                           reinterpret_cast<int*>(ends + BARRIERS * 8 + PIECE)};

    if (group == GROUPS) {
      leave_registers<56>();
      sliced.load(x, x_stride, in);
      await_cluster();
      return;
    }
    const uint32_t slots_sh = shared_address(slots_begin);
    Feed<CLUSTER, GROUPS> feed(work, slots_sh, slots, warp);
#pragma unroll 1
    for (int slot = 0; slot < slots; slot++) feed.next();
    appear_in_cluster();
    take_registers<152>();
    sync_named(BEGIN, GROUPS * WARPGROUP + WARP);
    await_before();
    sliced.compute(feed, slots_begin, slots_sh, slots, warp,
                   received + group * RECEIVED_BYTES, codes + group * CODES_BYTES);
    if (!sliced.has(group * TILES)) await_cluster();
  }
};

#else

#define IN_CLUSTERS_OF_2
#define IN_CLUSTERS_OF_4

// Other devices: a warp goes from tile to tile.
template <int ROWS, int CLUSTER, typename Out>
struct Sliced {
  static __device__ void run(const signed char* weight, const float* row_scale, const signed char* x, int x_stride,
                             const float* x_scale, const Out& out, int n, int in, int out_dim, const Tail& tail) {
    const int tiles = (out_dim + TILE - 1) / TILE + (tail.out_dim + TILE - 1) / TILE;
    const int end_row = min(n, (static_cast<int>(blockIdx.y) + 1) * ROWS);
    for (int tile = blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP; tile < tiles;
         tile += gridDim.x * (THREADS / WARP)) {
      const Share share = share_of(weight, row_scale, out_dim, tail, tile, TILE);
      compute_tile<4>(share, share.part, x, x_stride, x_scale, out, tail, blockIdx.y * ROWS, end_row, in);
    }
  }
};

#endif

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS_OF_2
linear_sliced32_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  Sliced<32, PAIR, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS_OF_2
linear_sliced64_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                          const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                          float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  Sliced<64, PAIR, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS_OF_4
linear_sliced32x4_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                            const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                            float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  Sliced<32, FOUR, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS_OF_4
linear_sliced64x4_i4_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                            const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                            float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  Sliced<64, FOUR, FloatRows>::run(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS_OF_2
linear_sliced32_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                         int out_scale_step, int n, int in, int out_dim,
                         const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                         float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Sliced<32, PAIR, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                                 {out, out_stride, out_scale, out_scale_step}, n, in, out_dim,
                                 {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS_OF_2
linear_sliced64_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                         const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                         signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                         int out_scale_step, int n, int in, int out_dim,
                         const signed char* __restrict__ tail_weight, const float* __restrict__ tail_row_scale,
                         float* __restrict__ tail_out, int tail_out_stride, int tail_out_dim) {
  Sliced<64, PAIR, CodeRows>::run(weight, row_scale, x, x_stride, x_scale,
                                 {out, out_stride, out_scale, out_scale_step}, n, in, out_dim,
                                 {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS_OF_2
linear_sliced32_conv_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                              const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                              signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                              int out_scale_step, int n, int in, int out_dim,
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
  Sliced<32, PAIR, ConvRows>::run(weight, row_scale, x, x_stride, x_scale, rows, n, in, out_dim,
                                 {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) IN_CLUSTERS_OF_2
linear_sliced64_conv_i4_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scale,
                              const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                              signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                              int out_scale_step, int n, int in, int out_dim,
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
  Sliced<64, PAIR, ConvRows>::run(weight, row_scale, x, x_stride, x_scale, rows, n, in, out_dim,
                                 {tail_weight, tail_row_scale, {tail_out, tail_out_stride}, tail_out_dim});
}
