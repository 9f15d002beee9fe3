// layers: layers of Mamba2, one after the other, for one token of one row: norm, in_proj and its convolution, scan, gate
// and rotation, out_proj, the same bits as by the kernels of these names
//
//   layers     (count) as in layers.cuh
//   slots      (1) i32
//   positions  (1) i32
//   hidden     (model_dim) f32, added to residual by the first layer's norm; what the last layer's out_proj leaves
//   residual   (model_dim) f32, updated
//   barrier    (1) i32, 0 before the first launch and written by launches alone
//
// Entry points, at the end: layers_decode_1536, _2048, _3072, _4096, _5120 and _8192, for that many columns of the gate.
// One block a multiprocessor, all of them at once (a cooperative launch), with dynamic shared memory of 231,976 bytes.
//
// With one row there is little to do but to read weights, and most time would go by in waiting. So one warp of each
// block does nothing but copy its tiles of weights to a ring in shared memory, as far ahead as the ring reaches, through
// all layers: copies go on while the other warps wait for each other. Blocks meet three times in a layer, where one
// needs what all others have computed; norm, gate and rotation every block does for itself, which takes less time than
// to meet.
#include "layers_ring.cuh"
#include "norm.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 640;
static_assert(THREADS == WORKERS + WARPGROUP, "and a warpgroup of which one warp copies");

#ifdef WARPGROUPS

constexpr int WORKER_REGISTERS = 104;
constexpr int COPIER_REGISTERS = 56;  // together no more than a launch gives 640 threads, 96 each

inline __device__ void sync_workers() { asm volatile("bar.sync 2, %0;" ::"n"(WORKERS) : "memory"); }

// All workers of all blocks; what they wrote before, all may read behind it.
inline __device__ void sync_blocks(unsigned* barrier) {
  constexpr unsigned TURN = 0x80000000u;  // the bit that changes with the last arrival
  sync_workers();
  if (threadIdx.x == 0) {
    unsigned before;
    unsigned now;
    asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], %2;"
                 : "=r"(before)
                 : "l"(barrier), "r"(blockIdx.x == 0 ? TURN - (gridDim.x - 1) : 1)
                 : "memory");
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(barrier) : "memory");
    } while (((before ^ now) & TURN) == 0);
  }
  sync_workers();
}

// An output of in_proj that a thread finishes: all that it needs but the sum, read while others are busy.
struct Output {
  enum Kind { NONE, TAIL, PLAIN, CONVOLVED };
  Kind kind = NONE;
  int column;
  float row_scale;
  float scale;
  ConvStep::Before before;

  __device__ void read(const Layer& layer, const ConvRows& rows, int index) {
    const int tile = blockIdx.x + index / TILE * gridDim.x;
    const Tail tail = {nullptr, layer.tail_row_scale, {}, layer.tail_dim};
    const Share share = share_of(nullptr, layer.in_row_scale, layer.in_out_dim, tail, tile, TILE);
    column = share.part * TILE + index % TILE;
    if (column >= share.out_dim) return;
    row_scale = share.row_scale[column];
    kind = TAIL;
    if (share.in_tail) return;
    scale = rows.codes.scale[column * rows.codes.step];
    kind = PLAIN;
    if (!rows.convolves(column)) return;
    before = rows.conv.before(0, column - rows.conv.first);
    kind = CONVOLVED;
  }

  __device__ void write(const Layer& layer, const ConvRows& rows, int sum, float x_scale) const {
    if (kind == NONE) return;
    const float value = scaled_sum(sum, row_scale, x_scale);
    if (kind == TAIL) {
      layer.tail_out[column] = value;
    } else {
      signed char code = static_cast<signed char>(code_of(value, scale, inverse_of(scale)));
      if (kind == CONVOLVED) code = rows.conv.step(before, code);
      rows.codes.at[column] = code;
    }
  }
};

// What a warp multiplies at once, a chunk of a tile: a lane's share.
struct Unit {
  uint4 low, high;
  unsigned ratios;
  int4 x_low, x_high;

  __device__ void load(const Memory& sh, const signed char* part, int chunk) {
    const int warp = threadIdx.x / WARP;
    const int lane = threadIdx.x % WARP;
    const uint4* words = reinterpret_cast<const uint4*>(part + warp * TILE_BYTES) + lane;
    low = words[0];
    high = words[WARP];
    ratios = *reinterpret_cast<const unsigned*>(part + PART_Q + warp * TILE_RATIOS + lane / 4 * 4);
    const int4* x = reinterpret_cast<const int4*>(sh.x + chunk * (CHUNK / 4) + lane % 4 * PIECES);
    x_low = x[0];
    x_high = x[1];
  }

  // Adds the products to sums of the tile's outputs. Of the product's columns only the first counts: that of lanes 0 to
  // 3, whose x the others repeat.
  __device__ void add(int* sums_sh) const {
    const int lane = threadIdx.x % WARP;
    const Ratios both = ratios_of(ratios);
    int a[16];
    convert(low, both, a);
    convert(high, both, a + 8);
    int sums[2][4] = {};
    add_product(sums[0], a, x_low.x, x_low.y);
    add_product(sums[1], a + 4, x_low.z, x_low.w);
    add_product(sums[0], a + 8, x_high.x, x_high.y);
    add_product(sums[1], a + 12, x_high.z, x_high.w);
    if (lane % 4 == 0) {
      atomicAdd(&sums_sh[lane / 4], sums[0][0] + sums[1][0]);
      atomicAdd(&sums_sh[lane / 4 + 8], sums[0][2] + sums[1][2]);
    }
  }
};

// Products of the block's tiles.
struct Multiplier {
  int at = 0;  // of the ring, as the copier goes round
  int round = 0;

  // Adds those of x to the sums. A warp loads a unit before it multiplies the one before.
  __device__ void multiply(Memory& sh, const Cut& cut) {
    const int warp = threadIdx.x / WARP;
    int chunk = warp;  // of the tile whose sums these are
    int* next_sh = sh.sums;
    int* sums_sh = nullptr;
    Unit unit;
    for (int first = 0; first < cut.units; first += WARPS) {
      await(shared_address(&sh.full[at]), round % 2);
      Unit next;
      for (; chunk >= cut.chunks; chunk -= cut.chunks) next_sh += TILE;
      next.load(sh, sh.parts[at], chunk);
      if (sums_sh != nullptr) unit.add(sums_sh);
      __syncwarp();
      if (threadIdx.x % WARP == 0) arrive(shared_address(&sh.empty[at]));
      unit = next;
      sums_sh = first + warp < cut.units ? next_sh : nullptr;
      chunk += WARPS;
      if (++at == HELD_PARTS) at = 0, round++;
    }
    if (sums_sh != nullptr) unit.add(sums_sh);
  }
};

// Not inlined: it would take registers from all that is live around it.
template <class State>
__device__ __noinline__ void scan(Memory& sh, int number) {
  const Layer& layer = sh.layers[number % 2];
  const auto arrival = [&]() { await(shared_address(&sh.before_full), number % 2); };
  const Heads heads = {layer.a, layer.dt_bias, layer.skip, layer.heads, layer.heads_per_group, layer.dt_min,
                       layer.dt_max};
  const Inputs<signed char> in = {layer.x, 0, layer.x_scale, layer.x_scale_step, layer.dt, 0, layer.dt_scale,
                                  layer.dt_scale_step, layer.b, 0, layer.b_scale, layer.b_scale_step, layer.c, 0,
                                  layer.c_scale, layer.c_scale_step};
  scan_head<State>(sh.scan, sh.before, arrival, blockIdx.x, sh.launch.position,
                   Slot<State, signed char>(layer.state, layer.state_stride, sh.launch.slot, layer.heads), heads, in,
                   layer.state_scale, layer.y);
  __syncwarp();
  if (threadIdx.x % WARP == 0) arrive(shared_address(&sh.before_empty));
}

// Gate and rotation of a row: its parts by the workers that have no scan, the rest by all.
template <class ROW>
struct RowGate {
  using Share = Own<ROW, WARPS, HEAD_THREADS / WARP>;
  Share own;

  // What does not wait for y.
  __device__ void read(const Layer& layer) {
    const Values<signed char> z = {layer.z, 0, layer.z_scale, layer.z_scale_step};
    Share::each([&](int u, int k, int part) {
      const int column = Share::column(part);
      own.gated[u][k] = Gated::open(Four<signed char>::read<true>(z.at + column, FOUR),
                                    Units<signed char>::read<true>(z, column, FOUR));
    });
  }

  __device__ void run(Memory& sh, const Layer& layer, const float* x_scale) {
    Four<float> y[Share::UNITS][ROW::EACH];
    Share::each([&](int u, int k, int part) { y[u][k] = Four<float>::read<true>(layer.y + Share::column(part), FOUR); });
    own.read_norm(layer.gate_weight, layer.groups);
    Share::each([&](int u, int k, int) { own.gated[u][k].multiply(y[u][k]); });
    const Results<signed char> out = {nullptr, 0, x_scale, 0};
    own.rotate(sh.row, sh.squares, layer.groups > 0, layer.gate_epsilon,
               Writer<signed char, ProductInputs>(out, {sh.x}, layer.factor, *x_scale));
  }
};

// A layer and the scales of its products' inputs, to shared memory, by the spare threads.
inline __device__ void copy_layer(Memory& sh, int number) {
  const Layer* from = sh.launch.layers + number;
  const int word = threadIdx.x - SPARE;
  constexpr int WORDS = sizeof(Layer) / sizeof(long long);
  static_assert(WORDS + 2 <= WORKERS - SPARE, "a word a spare thread");
  if (word >= 0 && word < WORDS) {
    reinterpret_cast<long long*>(&sh.layers[number % 2])[word] = reinterpret_cast<const long long*>(from)[word];
  }
  if (word == WORDS) sh.scales[number % 2][0] = *from->in_x_scale;
  if (word == WORDS + 1) sh.scales[number % 2][1] = *from->out_x_scale;
}

inline __device__ void clear_sums(Memory& sh) {
  if (threadIdx.x >= SPARE) sh.sums[threadIdx.x - SPARE] = 0;
}

template <class ROW>
__device__ __forceinline__ void work(Memory& sh, int model_dim, float* hidden, unsigned* barrier) {
  Multiplier multiplier;
  const bool spare = threadIdx.x >= SPARE;
  const ProductInputs x = {sh.x};
  const int count = sh.launch.count;
  copy_layer(sh, 0);
  clear_sums(sh);
  sync_workers();
#pragma unroll 1
  for (int l = 0; l < count; l++) {
    const Layer& layer = sh.layers[l % 2];
    const float* scales = sh.scales[l % 2];
    {
      const ConvRows rows = {
          {layer.in_out, 0, layer.in_out_scale, layer.in_out_scale_step},
          {sh.launch.slots, sh.launch.positions, layer.conv_weight, layer.conv_bias, layer.conv_in_scale,
           layer.conv_in_scale_step, layer.conv_state, layer.conv_state_stride, layer.conv_out_scale,
           layer.conv_out_scale_step, layer.conv_first, layer.channels}};
      Output output;
      if (spare) {
        output.read(layer, rows, threadIdx.x - SPARE);
      } else {
        norm_row<true, false>(hidden, sh.launch.residual, layer.norm_weight,
                              Results<signed char>{nullptr, 0, &scales[0], 0}, x, model_dim, layer.norm_epsilon);
      }
      sync_workers();
      multiplier.multiply(sh, Cut(tiles_of(layer.in_out_dim) + tiles_of(layer.tail_dim), model_dim));
      sync_workers();
      if (spare) output.write(layer, rows, sh.sums[threadIdx.x - SPARE], scales[0]);
    }
    sync_blocks(barrier);

    RowGate<ROW> gate;
    if (threadIdx.x < HEAD_THREADS && blockIdx.x < layer.heads) {
      switch (layer.state_format) {
        case ROW_SCALED: scan<RowState>(sh, l); break;
        case STATIC_SCALED: scan<StaticState>(sh, l); break;
        default: scan<HalfState>(sh, l); break;
      }
    } else if (spare) {
      clear_sums(sh);
      if (l + 1 < count) copy_layer(sh, l + 1);
      // What norm has not kept. No block reads residual before the next layer, or writes hidden before all are here.
      for (int i = blockIdx.x + (threadIdx.x - SPARE) * gridDim.x; i < model_dim; i += (WORKERS - SPARE) * gridDim.x) {
        sh.launch.residual[i] = hidden[i] + sh.launch.residual[i];
      }
    }
    gate.read(layer);
    sync_blocks(barrier);

    gate.run(sh, layer, &scales[1]);
    const int column = (blockIdx.x + threadIdx.x / TILE * gridDim.x) * TILE + threadIdx.x % TILE;
    const bool owns = threadIdx.x < MOST_TILES * TILE && column < model_dim;
    const float row_scale = owns ? layer.out_row_scale[column] : 0;
    sync_workers();
    multiplier.multiply(sh, Cut(tiles_of(model_dim), ROW::PARTS * PART));
    sync_workers();
    if (owns) hidden[column] = scaled_sum(sh.sums[threadIdx.x], row_scale, scales[1]);
    sync_blocks(barrier);
    clear_sums(sh);
  }
}

template <class ROW>
__device__ void decode(const Launch& launch) {
  extern __shared__ __align__(128) char memory_sh[];
  Memory& sh = *reinterpret_cast<Memory*>(memory_sh);
  if (threadIdx.x < HELD_PARTS) {
    init_barrier(shared_address(&sh.full[threadIdx.x]), 1);
    init_barrier(shared_address(&sh.empty[threadIdx.x]), WARPS);
    if (threadIdx.x == 0) {
      sh.launch = launch;
      init_barrier(shared_address(&sh.before_full), 1);
      init_barrier(shared_address(&sh.before_empty), HEAD_THREADS / WARP);
    }
    publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x < WORKERS) {
    take_registers<WORKER_REGISTERS>();
    work<ROW>(sh, launch.model_dim, launch.hidden, launch.barrier);
  } else {
    leave_registers<COPIER_REGISTERS>();
    if (threadIdx.x < WORKERS + WARP) {
      Copier copier = {sh};
      copier.shares(launch.layers[0]);
      for (int l = 0; l < launch.count; l++) {
        if (l + 1 < launch.count) copier.shares(launch.layers[l + 1]);
        if (threadIdx.x == WORKERS) copier.layer(launch.layers[l], l);
        __syncwarp();
      }
    }
  }
}

#endif

// ---------------------------------------------------------------- entry points

#ifdef WARPGROUPS
#define DECODE(ROW) \
  decode<ROW>({static_cast<const Layer*>(layers), count, slots[0], positions[0], slots, positions, hidden, residual, \
               model_dim, reinterpret_cast<unsigned*>(barrier)})
#else
#define DECODE(ROW)
#endif

extern "C" __global__ void __launch_bounds__(THREADS, 1)
layers_decode_1536(const void* layers, int count, const int* slots, const int* positions, float* hidden, float* residual,
                   int model_dim, int* barrier) {
  DECODE(Row1536);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
layers_decode_2048(const void* layers, int count, const int* slots, const int* positions, float* hidden, float* residual,
                   int model_dim, int* barrier) {
  DECODE(Row2048);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
layers_decode_3072(const void* layers, int count, const int* slots, const int* positions, float* hidden, float* residual,
                   int model_dim, int* barrier) {
  DECODE(Row3072);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
layers_decode_4096(const void* layers, int count, const int* slots, const int* positions, float* hidden, float* residual,
                   int model_dim, int* barrier) {
  DECODE(Row4096);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
layers_decode_5120(const void* layers, int count, const int* slots, const int* positions, float* hidden, float* residual,
                   int model_dim, int* barrier) {
  DECODE(Row5120);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
layers_decode_8192(const void* layers, int count, const int* slots, const int* positions, float* hidden, float* residual,
                   int model_dim, int* barrier) {
  DECODE(Row8192);
}
