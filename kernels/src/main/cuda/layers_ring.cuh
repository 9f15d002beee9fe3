// What the blocks of layers.cu hold in shared memory, and the warp that copies weights and states into it. Holds no entry
// point.
#pragma once
#include "gate_rotate.cuh"
#include "int4.cuh"
#include "layers.cuh"
#include "linear_conv.cuh"
#include "linear_tail.cuh"
#include "scan_head.cuh"

constexpr int WORKERS = 512;  // threads that compute
constexpr int WARPS = WORKERS / WARP;
constexpr int SPARE = 256;  // threads from here on have nothing to do in a norm and a scan
constexpr int PART_Q = WARPS * TILE_BYTES;  // of a part of a block's weights, a chunk of a tile a warp
constexpr int PART_BYTES = PART_Q + WARPS * TILE_RATIOS;
constexpr int HELD_PARTS = 10;  // of the ring
constexpr int MOST_TILES = 16;  // of a block, in one product
static_assert(MOST_TILES * TILE == WORKERS - SPARE, "an output of in_proj a spare thread");
constexpr int MOST_IN = WIDEST;  // inputs of a product

// What does not change in a launch.
struct Launch {
  const Layer* layers;
  int count;
  int slot;
  int position;
  const int* slots;
  const int* positions;
  float* hidden;
  float* residual;
  int model_dim;
  unsigned* barrier;
};

struct Memory {
  signed char parts[HELD_PARTS][PART_BYTES];
  union {
    float row[WIDEST];  // of gate and rotation
    HeadShared scan;
  };
  HeadBefore before;
  float squares[WIDEST / PART];
  int x[MOST_IN / 4];  // of a product, see ProductInputs
  int sums[MOST_TILES * TILE];
  Layer layers[2];
  float scales[2][2];  // of the inputs of in_proj and out_proj, of layers as these
  Launch launch;
  unsigned long long full[HELD_PARTS];
  unsigned long long empty[HELD_PARTS];
  unsigned long long before_full;
  unsigned long long before_empty;
};
static_assert(sizeof(Memory) == 231976, "what the launch gives");

#ifdef WARPGROUPS

// A block's share of a product: whole tiles of outputs, every gridDim.x-th from its own on. Their chunks, one tile's
// after the other's, are cut into parts of a chunk a warp.
struct Cut {
  int chunks;  // of a tile
  int units;   // chunks of all own tiles

  __device__ Cut(int tiles, int in) : chunks((in + CHUNK - 1) / CHUNK) {
    units = (tiles + gridDim.x - 1 - blockIdx.x) / gridDim.x * chunks;
  }
};

inline __device__ int tiles_of(int outputs) { return (outputs + TILE - 1) / TILE; }

// Inputs of a product in shared memory, in the order in which lanes read them: of a chunk, the fours of lane 0 first.
struct ProductInputs {
  int* words;

  static __device__ int word(int column) {
    return column / CHUNK * (CHUNK / 4) + column / 4 % 4 * PIECES + column % CHUNK / PIECE;
  }
  // Where four columns begin, or one lies.
  __device__ signed char* operator+(int column) const {
    return reinterpret_cast<signed char*>(words + word(column)) + column % 4;
  }
  __device__ signed char& operator[](int column) const { return *(*this + column); }
};

struct Copier {
  Memory& sh;
  int at = 0;  // of the ring
  int round = 0;

  // A block's share of a product and its tail.
  __device__ void product(const Cut& cut, const signed char* weight, int out_dim, const Tail& tail) {
    int tile = blockIdx.x;
    int chunk = 0;
    for (int first = 0; first < cut.units; first += WARPS) {
      const int count = min(WARPS, cut.units - first);
      const uint32_t full = shared_address(&sh.full[at]);
      if (round > 0) await(shared_address(&sh.empty[at]), (round - 1) % 2);
      arrive_expecting(full, count * (TILE_BYTES + TILE_RATIOS));
      for (int done = 0; done < count;) {
        const Share share = share_of(weight, nullptr, out_dim, tail, tile, TILE);
        const size_t from = static_cast<size_t>(share.part) * cut.chunks + chunk;
        const size_t all = static_cast<size_t>(tiles_of(share.out_dim)) * cut.chunks;
        const int run = min(count - done, cut.chunks - chunk);
        copy_bulk(shared_address(sh.parts[at] + done * TILE_BYTES), share.weight + from * TILE_BYTES, run * TILE_BYTES,
                  full);
        copy_bulk(shared_address(sh.parts[at] + PART_Q + done * TILE_RATIOS),
                  share.weight + all * TILE_BYTES + from * TILE_RATIOS, run * TILE_RATIOS, full);
        done += run;
        chunk += run;
        if (chunk == cut.chunks) chunk = 0, tile += gridDim.x;
      }
      if (++at == HELD_PARTS) at = 0, round++;
    }
  }

  template <class State>
  __device__ void head(const Layer& layer) {
    const int head = blockIdx.x;
    const Slot<State, signed char> slot(layer.state, layer.state_stride, sh.launch.slot, layer.heads);
    constexpr int STATE_BYTES = HEAD_DIM * STATE_DIM * sizeof(typename State::Element);
    constexpr int SCALES = State::ROW_SCALES ? sizeof(sh.before.scales) : 0;
    const uint32_t full = shared_address(&sh.before_full);
    arrive_expecting(full, STATE_BYTES + SCALES + sizeof(sh.before.xs) + sizeof(sh.before.bs) + sizeof(sh.before.steps));
    const auto copy = [&](void* to_sh, const void* from, int bytes) {
      copy_bulk(shared_address(to_sh), from, bytes, full);
    };
    copy(sh.before.state, slot.state + head * HEAD_DIM * STATE_DIM, STATE_BYTES);
    if (State::ROW_SCALES) copy(sh.before.scales, slot.scales + head * HEAD_DIM, SCALES);
    copy(sh.before.xs, slot.xs + head * INTERVAL * HEAD_DIM, sizeof(sh.before.xs));
    copy(sh.before.bs, slot.bs + head / layer.heads_per_group * INTERVAL * STATE_DIM, sizeof(sh.before.bs));
    copy(sh.before.steps, slot.steps + head * INTERVAL, sizeof(sh.before.steps));
  }

  // By one lane.
  __device__ void layer(const Layer& layer, int number) {
    product(Cut(tiles_of(layer.in_out_dim) + tiles_of(layer.tail_dim), sh.launch.model_dim), layer.in_weight,
            layer.in_out_dim, {layer.tail_weight, nullptr, {}, layer.tail_dim});
    if (blockIdx.x < layer.heads) {
      if (number > 0) await(shared_address(&sh.before_empty), (number - 1) % 2);
      switch (layer.state_format) {
        case ROW_SCALED: head<RowState>(layer); break;
        case STATIC_SCALED: head<StaticState>(layer); break;
        default: head<HalfState>(layer); break;
      }
    }
    product(Cut(tiles_of(sh.launch.model_dim), layer.heads * HEAD_DIM), layer.out_weight, sh.launch.model_dim, {});
  }

  // Brings a share of what all blocks read near, by all lanes.
  static __device__ void share(const void* from, int bytes) {
    constexpr int LINE = 128;
    const int lane = threadIdx.x % WARP;
    for (int line = blockIdx.x + lane * gridDim.x; line * LINE < bytes; line += WARP * gridDim.x) {
      prefetch(static_cast<const char*>(from) + line * LINE);
    }
  }

  __device__ void shares(const Layer& layer) {
    const int outputs = layer.in_out_dim * sizeof(float);
    const int channels = layer.channels * sizeof(float);
    share(layer.norm_weight, sh.launch.model_dim * sizeof(float));
    share(layer.in_row_scale, outputs);
    if (layer.in_out_scale_step != 0) share(layer.in_out_scale, outputs);
    share(layer.conv_weight, channels * TAPS);
    share(layer.conv_bias, channels);
    if (layer.conv_out_scale_step != 0) share(layer.conv_out_scale, channels);
    share(layer.conv_state + static_cast<size_t>(sh.launch.slot) * layer.conv_state_stride, layer.channels * (TAPS - 1));
    share(layer.gate_weight, layer.heads * HEAD_DIM * sizeof(float));
    share(layer.out_row_scale, sh.launch.model_dim * sizeof(float));
  }
};

#endif
