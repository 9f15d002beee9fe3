// layers: layers of Mamba2, one after the other, for one token of one row: norm, in_proj and its convolution, scan, gate
// and rotation, out_proj, the same bits as by the kernels of these names
//
//   layers     (count) as in layers.cuh
//   slots      (1) i32
//   positions  (1) i32
//   hidden     (model_dim) f32, added to residual by the first layer's norm; what the last layer's out_proj leaves
//   residual   (model_dim) f32, updated
//   barrier    (1) i32, 0 before the first launch
//
// Entry point, at the end: layers_decode. One block a multiprocessor, all of them at once (a cooperative launch), dynamic
// shared memory of 220,720 bytes.
//
// With one row there is little to do but to read weights, and most time would go by in waiting. So one warp of each
// block does nothing but copy its tiles of weights to a ring in shared memory, as far ahead as the ring reaches, through
// all layers: copies go on while the other warps wait for each other. Blocks meet three times in a layer, where one
// needs what all others have computed; norm, gate and rotation every block does for itself, which takes less time than
// to meet.
#include "gate_rotate.cuh"
#include "int4.cuh"
#include "layers.cuh"
#include "linear_conv.cuh"
#include "linear_tail.cuh"
#include "norm.cuh"
#include "scan_decode.cuh"

// ---------------------------------------------------------------- kernels

constexpr int WORKERS = 512;  // threads that compute
constexpr int THREADS = 640;
static_assert(THREADS == WORKERS + WARPGROUP, "and a warpgroup of which one thread copies");
constexpr int TEAM = 8;                  // warps that share a piece of a tile, a chunk each
constexpr int SPARE = 256;  // threads from here on have nothing to do in a norm
constexpr int PIECE_Q = TEAM * TILE_BYTES;
constexpr int PIECE_BYTES = PIECE_Q + TEAM * TILE_RATIOS;
constexpr int PIECES_HELD = 21;                       // of the ring
constexpr int MOST_TILES = 16;                        // of a block, in one product
static_assert(MOST_TILES * TILE == WORKERS - SPARE, "an output of in_proj a spare thread");
constexpr int MOST_IN = WIDE;                         // inputs of a product

struct Memory {
  signed char pieces[PIECES_HELD][PIECE_BYTES];
  union {
    float row[WIDE];  // of gate and rotation
    DecodeShared<signed char> scan;
  };
  float squares[WIDE / PART];
  signed char x[MOST_IN];  // of a product
  int sums[MOST_TILES * TILE];
  Layer layers[2];
  unsigned long long full[PIECES_HELD];
  unsigned long long empty[PIECES_HELD];
};

static_assert(sizeof(Memory) == 220720, "what the launch gives");

#ifdef WARPGROUPS

constexpr int TEAMS = WORKERS / WARP / TEAM;
constexpr int WORKER_REGISTERS = 112;
constexpr int COPIER_REGISTERS = 24;  // together no more than a launch gives 640 threads, 96 each

// How a block's share of a product is cut: whole tiles of outputs, tile by tile, each into pieces of neighbouring
// chunks.
struct Cut {
  int tiles;   // of the product
  int chunks;  // of a tile
  int pieces;  // of a tile
  int length;  // chunks of a piece, at most; the last may have fewer

  __device__ Cut(int tiles, int in) : tiles(tiles), chunks((in + CHUNK - 1) / CHUNK) {
    pieces = (chunks + TEAM - 1) / TEAM;
    length = (chunks + pieces - 1) / pieces;
  }
};

inline __device__ int tiles_of(int outputs) { return (outputs + TILE - 1) / TILE; }

// ---------------------------------------------------------------- the warp that copies

struct Copier {
  Memory& sh;
  int count = 0;  // of the pieces so far

  // A tile's share of a packed matrix of so many tiles.
  __device__ void tile(const signed char* weight, int tile, int tiles, const Cut& cut) {
    const signed char* q = weight + static_cast<size_t>(tile) * cut.chunks * TILE_BYTES;
    const signed char* ratios = weight + static_cast<size_t>(tiles) * cut.chunks * TILE_BYTES +
                                static_cast<size_t>(tile) * cut.chunks * TILE_RATIOS;
    for (int first = 0; first < cut.chunks; first += cut.length) {
      const int length = min(cut.length, cut.chunks - first);
      const int at = count % PIECES_HELD;
      const uint32_t full = shared_address(&sh.full[at]);
      if (count >= PIECES_HELD) await(shared_address(&sh.empty[at]), (count / PIECES_HELD - 1) % 2);
      arrive_expecting(full, length * (TILE_BYTES + TILE_RATIOS));
      copy_bulk(shared_address(sh.pieces[at]), q + first * TILE_BYTES, length * TILE_BYTES, full);
      copy_bulk(shared_address(sh.pieces[at] + PIECE_Q), ratios + first * TILE_RATIOS, length * TILE_RATIOS, full);
      count++;
    }
  }

  __device__ void layer(const Layer& layer, int model_dim, int inner_dim) {
    const Cut in(tiles_of(layer.in_out_dim) + tiles_of(layer.tail_dim), model_dim);
    const Tail tail = {layer.tail_weight, layer.tail_row_scale, {}, layer.tail_dim};
    for (int own = blockIdx.x; own < in.tiles; own += gridDim.x) {
      const Share share = share_of(layer.in_weight, layer.in_row_scale, layer.in_out_dim, tail, own, TILE);
      tile(share.weight, share.part, tiles_of(share.out_dim), in);
    }
    const Cut out(tiles_of(model_dim), inner_dim);
    for (int own = blockIdx.x; own < out.tiles; own += gridDim.x) tile(layer.out_weight, own, out.tiles, out);
  }
};

// ---------------------------------------------------------------- the others

inline __device__ void sync_workers() { asm volatile("bar.sync 2, %0;" ::"n"(WORKERS) : "memory"); }

// All workers of all blocks; what they wrote before, all may read behind it.
inline __device__ void sync_blocks(unsigned* barrier) {
  constexpr unsigned TURN = 0x80000000u;  // the bit that changes with the last arrival
  sync_workers();
  if (threadIdx.x == 0) {
    __threadfence();
    const unsigned before = atomicAdd(barrier, blockIdx.x == 0 ? TURN - (gridDim.x - 1) : 1);
    unsigned now;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(barrier) : "memory");
    } while (((before ^ now) & TURN) == 0);
    __threadfence();
  }
  sync_workers();
}

// An output of in_proj that a thread finishes: all that it needs but the sum, read while others are busy.
struct Output {
  Share share;
  int column = -1;
  float row_scale;
  bool convolved;
  ConvStep::Before before;

  __device__ void read(const Tail& tail, const Layer& layer, const ConvRows& rows, int index) {
    const int tile = blockIdx.x + index / TILE * gridDim.x;
    if (tile >= tiles_of(layer.in_out_dim) + tiles_of(layer.tail_dim)) return;
    share = share_of(layer.in_weight, layer.in_row_scale, layer.in_out_dim, tail, tile, TILE);
    const int own = share.part * TILE + index % TILE;
    if (own >= share.out_dim) return;
    column = own;
    row_scale = share.row_scale[column];
    convolved = !share.in_tail && rows.convolves(column);
    if (convolved) before = rows.conv.before(0, column - rows.conv.first);
  }

  __device__ void write(const Tail& tail, const ConvRows& rows, int sum, float x_scale) const {
    if (column < 0) return;
    const float value = scaled_sum(sum, row_scale, x_scale);
    if (share.in_tail) {
      store(tail.out, 0, column, value);
    } else {
      signed char code = element(rows.codes, column, value);
      if (convolved) code = rows.conv.step(before, code);
      rows.codes.at[column] = code;
    }
  }
};

struct Workers {
  Memory& sh;
  int count = 0;  // of the pieces so far, as of the copier

  // Adds the products of x by the block's tiles to the sums.
  __device__ void multiply(const Cut& cut) {
    const int warp = threadIdx.x / WARP;
    const int lane = threadIdx.x % WARP;
    int tile = 0;
    for (int own = blockIdx.x; own < cut.tiles; own += gridDim.x, tile++) {
      for (int first = 0; first < cut.chunks; first += cut.length, count++) {
        if (count % TEAMS != warp / TEAM) continue;
        const int at = count % PIECES_HELD;
        const int chunk = warp % TEAM;
        await(shared_address(&sh.full[at]), count / PIECES_HELD % 2);
        if (chunk < min(cut.length, cut.chunks - first)) {
          add_chunk(sh.pieces[at], chunk, first + chunk, &sh.sums[tile * TILE]);
        }
        __syncwarp();
        if (lane == 0) arrive(shared_address(&sh.empty[at]));
      }
    }
  }

  __device__ void add_chunk(const signed char* piece, int part, int chunk, int* sums_sh) {
    const int lane = threadIdx.x % WARP;
    const uint4* words = reinterpret_cast<const uint4*>(piece + part * TILE_BYTES) + lane;
    const Ratios ratios =
        ratios_of(*reinterpret_cast<const unsigned*>(piece + PIECE_Q + part * TILE_RATIOS + lane / 4 * 4));
    int b[PIECES] = {};
    if (lane < 4) {  // the others have rows that are not there
#pragma unroll
      for (int i = 0; i < PIECES; i++) {
        b[i] = *reinterpret_cast<const int*>(sh.x + chunk * CHUNK + i * PIECE + lane * 4);
      }
    }
    int a[16];
    convert(words[0], ratios, a);
    convert(words[WARP], ratios, a + 8);
    int sums[2][4] = {};
#pragma unroll
    for (int i = 0; i < 4; i++) add_product(sums[i % 2], a + i * 4, b[2 * i], b[2 * i + 1]);
    if (lane % 4 == 0) {
      atomicAdd(&sums_sh[lane / 4], sums[0][0] + sums[1][0]);
      atomicAdd(&sums_sh[lane / 4 + 8], sums[0][2] + sums[1][2]);
    }
  }

  __device__ void clear_sums() {
    if (threadIdx.x >= SPARE) sh.sums[threadIdx.x - SPARE] = 0;
  }

  // The state that the block's head will read.
  __device__ void prefetch_head(const Layer& layer, const int* slots) {
    constexpr int LINE = 128;
    const int line = threadIdx.x - SPARE;
    const int head = blockIdx.x;
    if (line < 0 || head >= layer.heads) return;
    const int bytes = HEAD_DIM * STATE_DIM * (layer.state_format == HALF ? 2 : 1);
    const signed char* slot = layer.state + static_cast<size_t>(slots[0]) * layer.state_stride;
    if (line * LINE < bytes) prefetch(slot + static_cast<size_t>(head) * bytes + line * LINE);
  }

  // Not inlined: it would take registers from all that is live around it.
  template <class State>
  __device__ __noinline__ void scan(const Layer& layer, const int* slots, const int* positions) {
    for (int head = blockIdx.x; head < layer.heads; head += gridDim.x) {
      decode_row<State, signed char>(
          sh.scan, head, 0, slots, positions,
          {layer.a, layer.dt_bias, layer.skip, layer.heads, layer.heads_per_group, layer.dt_min, layer.dt_max},
          {layer.x, 0, layer.x_scale, layer.x_scale_step, layer.dt, 0, layer.dt_scale, layer.dt_scale_step, layer.b, 0,
           layer.b_scale, layer.b_scale_step, layer.c, 0, layer.c_scale, layer.c_scale_step},
          layer.state, layer.state_stride, layer.state_scale, layer.y, 0, 1);
    }
  }

  template <class ROW>
  __device__ void gate(const Layer& layer) {
    if (threadIdx.x >= ROW::THREADS) return;
    gate_rotate_row<ROW, signed char, signed char>(
        sh.row, sh.squares, layer.y, {layer.z, 0, layer.z_scale, layer.z_scale_step}, layer.z, layer.gate_weight,
        layer.groups, layer.gate_epsilon, {sh.x, 0, layer.out_x_scale, 0}, sh.x, layer.factor);
  }
};

// Words of a layer, to shared memory, by the spare threads.
inline __device__ void copy_layer(Layer& to_sh, const Layer* from) {
  for (int i = threadIdx.x - SPARE; i < static_cast<int>(sizeof(Layer) / 8); i += WORKERS - SPARE) {
    if (i >= 0) reinterpret_cast<long long*>(&to_sh)[i] = reinterpret_cast<const long long*>(from)[i];
  }
}

__device__ __forceinline__ void work(Memory& sh, const Layer* layers, int count, const int* slots, const int* positions,
                            float* hidden, float* residual, int model_dim, int inner_dim, unsigned* barrier) {
  Workers workers = {sh};
  const bool spare = threadIdx.x >= SPARE;
  copy_layer(sh.layers[0], layers);
  workers.clear_sums();
  sync_workers();
  for (int l = 0; l < count; l++) {
    const Layer& layer = sh.layers[l % 2];
    const Tail tail = {layer.tail_weight, layer.tail_row_scale, {layer.tail_out, 0}, layer.tail_dim};
    const ConvRows rows = {
        {layer.in_out, 0, layer.in_out_scale, layer.in_out_scale_step},
        {slots, positions, layer.conv_weight, layer.conv_bias, layer.conv_in_scale, layer.conv_in_scale_step,
         layer.conv_state, layer.conv_state_stride, layer.conv_out_scale, layer.conv_out_scale_step, layer.conv_first,
         layer.channels}};
    const Cut in(tiles_of(layer.in_out_dim) + tiles_of(layer.tail_dim), model_dim);
    Output output;
    if (spare) {
      output.read(tail, layer, rows, threadIdx.x - SPARE);
      workers.prefetch_head(layer, slots);
    } else {
      norm_row<true, false, signed char>(hidden, residual, layer.norm_weight, {sh.x, 0, layer.in_x_scale, 0}, sh.x,
                                         model_dim, layer.norm_epsilon);
    }
    sync_workers();
    workers.multiply(in);
    sync_workers();
    if (spare) output.write(tail, rows, sh.sums[threadIdx.x - SPARE], *layer.in_x_scale);
    sync_blocks(barrier);

    if (threadIdx.x < DECODE_THREADS) {
      switch (layer.state_format) {
        case ROW_SCALED: workers.scan<RowState>(layer, slots, positions); break;
        case STATIC_SCALED: workers.scan<StaticState>(layer, slots, positions); break;
        default: workers.scan<HalfState>(layer, slots, positions); break;
      }
    } else if (spare) {
      workers.clear_sums();
      if (l + 1 < count) copy_layer(sh.layers[(l + 1) % 2], layers + l + 1);
      // What norm has not kept. No block reads residual before the next layer, or writes hidden before all are here.
      if (blockIdx.x == gridDim.x - 1) {
        for (int i = threadIdx.x - SPARE; i < model_dim; i += WORKERS - SPARE) residual[i] = hidden[i] + residual[i];
      }
    }
    sync_blocks(barrier);

    if (inner_dim == WIDE) {
      workers.gate<WideRow>(layer);
    } else {
      with_row(inner_dim, [&](auto row) { workers.gate<decltype(row)>(layer); });
    }
    const Cut out(tiles_of(model_dim), inner_dim);
    const int column = (blockIdx.x + threadIdx.x / TILE * gridDim.x) * TILE + threadIdx.x % TILE;
    const bool owns = threadIdx.x < MOST_TILES * TILE && column < model_dim;
    const float row_scale = owns ? layer.out_row_scale[column] : 0;
    sync_workers();
    workers.multiply(out);
    sync_workers();
    if (owns) hidden[column] = scaled_sum(sh.sums[threadIdx.x], row_scale, *layer.out_x_scale);
    sync_blocks(barrier);
    workers.clear_sums();
  }
}

#endif

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, 1)
layers_decode(const void* layers, int count, const int* slots, const int* positions, float* hidden, float* residual,
              int model_dim, int inner_dim, int* barrier) {
#ifdef WARPGROUPS
  extern __shared__ __align__(128) char memory_sh[];
  Memory& sh = *reinterpret_cast<Memory*>(memory_sh);
  const Layer* all = static_cast<const Layer*>(layers);
  if (threadIdx.x < PIECES_HELD) {
    init_barrier(shared_address(&sh.full[threadIdx.x]), 1);
    init_barrier(shared_address(&sh.empty[threadIdx.x]), TEAM);
    publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x < WORKERS) {
    take_registers<WORKER_REGISTERS>();
    work(sh, all, count, slots, positions, hidden, residual, model_dim, inner_dim, reinterpret_cast<unsigned*>(barrier));
  } else {
    leave_registers<COPIER_REGISTERS>();
    if (threadIdx.x == WORKERS) {
      Copier copier = {sh};
      for (int l = 0; l < count; l++) copier.layer(all[l], model_dim, inner_dim);
    }
  }
#endif
}
