// What linear_codes_sliced.cu is made of: the tiles and rows that a block works on, and a warp's copies of the weight.
#pragma once
#include "linear_conv.cuh"
#include "linear_tile.cuh"

#ifdef WARPGROUPS

constexpr int TILES = WARPGROUP / WARP;                     // of a panel, a warp's each
constexpr int SLOT_BYTES = 2 * (TILE_BYTES + TILE_RATIOS);  // of a tile, two chunks: first the codes, then the ratios
constexpr int MOST_SLOTS = 4;                               // of a warp
constexpr int FOURS = TILES * TILE / 4;                     // of a row of a panel
constexpr int CODES_PITCH = TILES * TILE + 4;               // of such a row's codes

constexpr float HIGHEST_CODE = 127;

// Moves what stands BY places further on to the front: a loop that does so needs no registers of its turn's number.
template <int BY, typename T, int COUNT>
__device__ void move_up(T (&values)[COUNT]) {
#pragma unroll
  for (int i = 0; i + BY < COUNT; i++) values[i] = values[i + BY];
}

// The last of these, behind which the others move up.
inline __device__ void append(unsigned (&values)[4], unsigned value) {
  move_up<1>(values);
  values[3] = value;
}

// A quotient as a code in the low byte, if `certain`: not if it is about halfway between two integers, about the last
// code or beyond, or not finite. It may be off by as much as in code_of().
struct NearCode {
  unsigned bits;
  bool certain;
};

inline __device__ NearCode near_code_of(float quotient) {
  constexpr float UNITS = 12582912;  // 1.5 * 2^23: a sum with it is rounded to an integer, ties to even
  const float sum = __fadd_rn(quotient, UNITS);
  const float rest = __fsub_rn(quotient, __fsub_rn(sum, UNITS));
  return {__float_as_uint(sum), fabsf(rest) < 0.4999f && fabsf(quotient) < HIGHEST_CODE};
}

// Codes of four neighbouring columns of a row, those that exist.
inline __device__ void put_four(const CodeRows& out, int row, int column, int out_dim, char4 codes) {
  signed char* to = out.at + static_cast<size_t>(row) * out.stride + column;
  if (column + 4 <= out_dim && reinterpret_cast<size_t>(to) % sizeof(char4) == 0) {
    *reinterpret_cast<char4*>(to) = codes;
  } else {
    const signed char each[4] = {codes.x, codes.y, codes.z, codes.w};
#pragma unroll
    for (int c = 0; c < 4; c++) {
      if (column + c < out_dim) to[c] = each[c];
    }
  }
}

// What four channels, the first of them a multiple of 4, are multiplied with, for several rows.
struct ConvFour {
  float4 taps[4];
  float bias[4];
  float unit[4];
  float scale[4];
  float inverse[4];

  __device__ void load(const ConvStep& conv, int channel) {
#pragma unroll
    for (int c = 0; c < 4; c++) {
      taps[c] = reinterpret_cast<const float4*>(conv.weight)[channel + c];
      bias[c] = conv.bias[channel + c];
      unit[c] = conv.in_scale[(channel + c) * conv.in_scale_step];
      scale[c] = conv.out_scale[(channel + c) * conv.out_scale_step];
    }
  }

  // Comes after load(), and later, as this waits for what it reads.
  __device__ void invert() {
#pragma unroll
    for (int c = 0; c < 4; c++) inverse[c] = inverse_of(scale[c]);
  }

  // A code of a word as a number: under the bits of 2^23 it is 2^23 + 128 more.
  static __device__ float number(unsigned word, int c) {
    return __fsub_rn(__uint_as_float(__byte_perm(word ^ 0x80808080, 0x4b000000, 0x7440 + c)), 8388608 + 128);
  }

  // The codes of the channels' last inputs, the oldest first, each four in a word: as ConvStep::result() has them.
  __device__ unsigned result(const unsigned (&inputs)[TAPS]) const {
    float values[4];
    unsigned codes[4];
    bool certain = true;
#pragma unroll
    for (int c = 0; c < 4; c++) {
      float sum = fmaf(taps[c].x, __fmul_rn(number(inputs[0], c), unit[c]), bias[c]);
      sum = fmaf(taps[c].y, __fmul_rn(number(inputs[1], c), unit[c]), sum);
      sum = fmaf(taps[c].z, __fmul_rn(number(inputs[2], c), unit[c]), sum);
      sum = fmaf(taps[c].w, __fmul_rn(number(inputs[3], c), unit[c]), sum);
      values[c] = silu(sum);
      const NearCode near = near_code_of(values[c] * inverse[c]);
      codes[c] = near.bits;
      certain = certain && near.certain;
    }
    if (!certain) {
      float of[4] = {scale[0], scale[1], scale[2], scale[3]};
#pragma unroll 1
      for (int c = 0; c < 4; c++) {
        append(codes, static_cast<unsigned>(away(values[0] / of[0])));
        move_up<1>(values);
        move_up<1>(of);
      }
    }
    return __byte_perm(__byte_perm(codes[0], codes[1], 0x0040), __byte_perm(codes[2], codes[3], 0x0040), 0x5410);
  }
};

// The operand of one product, from half of a lane's 16 bytes; it stays where it is among products.
inline __device__ void convert_half(const uint4& words, int half, const Ratios& ratios, int* a) {
  convert(half == 0 ? words.x : words.z, ratios.whole[0], ratios.sixteenth[0], a[0], a[2]);
  convert(half == 0 ? words.y : words.w, ratios.whole[1], ratios.sixteenth[1], a[1], a[3]);
#pragma unroll
  for (int i = 0; i < 4; i++) asm volatile("" : "+r"(a[i]));
}

template <typename Rows>
constexpr bool CODES = true;
template <>
constexpr bool CODES<FloatRows> = false;

template <typename Rows>
constexpr bool CONVOLVES = false;
template <>
constexpr bool CONVOLVES<ConvRows> = true;

inline __device__ const CodeRows& code_rows(const CodeRows& out) { return out; }
inline __device__ const CodeRows& code_rows(const ConvRows& out) { return out.codes; }

inline __device__ const FloatRows& float_rows(const FloatRows& out, const Tail&) { return out; }
template <typename Rows>
__device__ const FloatRows& float_rows(const Rows&, const Tail& tail) {
  return tail.out;
}

// The slot of a row's state, or ~slot if it is not known.
inline __device__ int state_of(const ConvRows& out, int row) {
  const int slot = out.conv.slots[row];
  return out.conv.positions[row] > 0 ? slot : ~slot;
}
template <typename Rows>
__device__ int state_of(const Rows&, int) {
  return 0;
}

inline __device__ signed char* history(const ConvStep& conv, int state, int channel) {
  return conv.state + static_cast<size_t>(max(state, ~state)) * conv.state_stride + channel;
}

// What a block does. Pairs of tiles, those of the tail behind the others, are dealt to the clusters in turn.
struct Work {
  const signed char* weight;
  const float* row_scale;
  int out_dim;
  const Tail& tail;
  int chunks;
  int first;  // chunk of the block's
  int count;

  // Which is the cluster's k-th.
  static __device__ int tile(int k, int cluster) {
    return (k / 2 * (gridDim.x / cluster) + blockIdx.x / cluster) * 2 + k % 2;
  }
  __device__ int tiles() const { return (out_dim + TILE - 1) / TILE + (tail.out_dim + TILE - 1) / TILE; }
  __device__ bool has(int k, int cluster) const { return tile(k, cluster) < tiles(); }
  __device__ Share share(int tile) const { return share_of(weight, row_scale, out_dim, tail, tile, TILE); }
};

// The rows of a cluster: eights of them are dealt to its blocks in turn.
template <int ROWS, int CLUSTER>
struct Dealt {
  static constexpr int MOST = ROWS / 8 / CLUSTER;         // eights of a block
  static constexpr int EIGHT_BYTES = WARPGROUP * 16;      // of a panel's sums of 8 rows
  static constexpr int RECEIVED_BYTES = (CLUSTER - 1) * MOST * EIGHT_BYTES;

  int first_row;
  int rows;
  int split;  // rank of this block
  int live;   // eights that this block has
  int peers;  // other blocks that have some

  __device__ Dealt(int n) : first_row(blockIdx.y * ROWS), split(rank_in_cluster()) {
    rows = min(ROWS, n - first_row);
    const int eights = (rows + 7) / 8;
    live = max(0, (eights - split + CLUSTER - 1) / CLUSTER);
    peers = min(CLUSTER, eights) - (live > 0);
  }

  // A row of the block's i-th eight.
  __device__ int row_of(int i, int row) const { return (split + CLUSTER * i) * 8 + row; }

  // Sends the other blocks their sums and moves this block's to the front.
  __device__ void push(int (&sums)[ROWS / 2], uint32_t received_sh, uint32_t ready_sh) const {
#pragma unroll
    for (int to = 0; to < CLUSTER; to++) {
      if (to == split) continue;
      const int place = (split + CLUSTER - to) % CLUSTER - 1;
      const uint32_t there =
          address_at(to, received_sh + place * MOST * EIGHT_BYTES + threadIdx.x % WARPGROUP * 16);
      const uint32_t ready_there = address_at(to, ready_sh);
#pragma unroll
      for (int i = 0; i < MOST; i++) {
        const int eight = to + i * CLUSTER;
        if (eight * 8 < rows) store_there(there + i * EIGHT_BYTES, sums + eight * 4, ready_there);
      }
    }
#pragma unroll
    for (int i = 0; i < MOST; i++) {
#pragma unroll
      for (int from = 0; from < CLUSTER; from++) {
        if (from != split) continue;
#pragma unroll
        for (int c = 0; c < 4; c++) sums[i * 4 + c] = sums[(from + i * CLUSTER) * 4 + c];
      }
    }
  }

  // Adds what the others sent.
  __device__ void gather(int (&sums)[ROWS / 2], const char* received) const {
    const int4* received_sh_rd = reinterpret_cast<const int4*>(received) + threadIdx.x % WARPGROUP;
#pragma unroll
    for (int i = 0; i < MOST; i++) {
      if (i >= live) break;
#pragma unroll
      for (int place = 0; place < CLUSTER - 1; place++) {
        const int4 more = received_sh_rd[(place * MOST + i) * WARPGROUP];
        sums[i * 4] += more.x;
        sums[i * 4 + 1] += more.y;
        sums[i * 4 + 2] += more.z;
        sums[i * 4 + 3] += more.w;
      }
    }
  }

  // What the others send, in bytes.
  __device__ int expected() const { return (CLUSTER - 1) * live * EIGHT_BYTES; }
};

// Convolves four columns of codes of the block's rows; `old` are words of history.
template <int ROWS, int CLUSTER>
__device__ void convolve(const ConvRows& out, const Dealt<ROWS, CLUSTER>& dealt, const int* states_sh, ConvFour& four,
                         unsigned (&old)[Dealt<ROWS, CLUSTER>::MOST * (TAPS - 1)], int column,
                         const char* codes_sh_rd) {
  const ConvStep& conv = out.conv;
  const int channel = column - conv.first;
  four.invert();
#pragma unroll 1
  for (int i = 0; i < dealt.live; i++) {
    const int row = dealt.row_of(i, threadIdx.x % WARPGROUP / FOURS);
    if (row >= dealt.rows) break;
    const int state = states_sh[row];
    const unsigned known = state < 0 ? 0 : 0xffffffff;
    const unsigned inputs[TAPS] = {old[0] & known, old[1] & known, old[2] & known,
                                   *reinterpret_cast<const unsigned*>(codes_sh_rd + i * 8 * CODES_PITCH)};
#pragma unroll
    for (int t = 0; t < TAPS - 1; t++) {
      *reinterpret_cast<unsigned*>(history(conv, state, channel) + t * conv.channels) = inputs[t + 1];
    }
    signed char* codes_gl_wr = out.codes.at + static_cast<size_t>(dealt.first_row + row) * out.codes.stride + column;
    *reinterpret_cast<unsigned*>(codes_gl_wr) = four.result(inputs);
    move_up<TAPS - 1>(old);
  }
}

// Brings nearer what convolutions of a block will need, by one warpgroup.
template <int ROWS, int CLUSTER>
__device__ void prefetch_steps(const ConvRows& out, const Work& work, const Dealt<ROWS, CLUSTER>& dealt,
                               const int* states_sh) {
  const ConvStep& conv = out.conv;
  const int mine = threadIdx.x % WARPGROUP;
  const int row = dealt.row_of(mine / WARP, mine / 4 % 8);
#pragma unroll 1
  for (int k = 0; work.has(k, CLUSTER); k++) {
    const int column = Work::tile(k, CLUSTER) * TILE;
    const int channel = column - conv.first;
    if (!out.convolves(column)) continue;
    if (row < dealt.rows && mine % 4 < TAPS - 1) {
      prefetch_line(history(conv, states_sh[row], channel) + mine % 4 * conv.channels);
    }
    if (mine >= TILE || channel + mine >= conv.channels) continue;
    prefetch_line(conv.weight + (channel + mine) * TAPS);
    if (mine % 8 == 0) {
      prefetch_line(conv.bias + channel + mine);
      prefetch_line(conv.in_scale + (channel + mine) * conv.in_scale_step);
      prefetch_line(conv.out_scale + (channel + mine) * conv.out_scale_step);
    }
  }
}

// A warp's copies of its tiles, two chunks a slot.
template <int CLUSTER, int GROUPS>
struct Feed {
  const Work& work;
  uint32_t first_sh;  // this lane's place in the first slot
  uint32_t end_sh;
  uint32_t at_sh;
  int k;              // tile that comes next
  int left = 0;       // chunks of this one
  const signed char* q_gl_rd;
  const signed char* ratio_gl_rd;

  __device__ Feed(const Work& work, uint32_t slots_sh, int slots, int warp) : work(work), k(warp) {
    at_sh = first_sh = slots_sh + warp * slots * SLOT_BYTES + threadIdx.x % WARP * PIECE;
    end_sh = first_sh + slots * SLOT_BYTES;
    find();
  }

  __device__ void find() {
    const int tile = Work::tile(k, CLUSTER);
    if (tile >= work.tiles()) return;
    const Share share = work.share(tile);
    const int tiles = (share.out_dim + TILE - 1) / TILE;
    const size_t at = static_cast<size_t>(share.part) * work.chunks + work.first;
    const int lane = threadIdx.x % WARP;
    q_gl_rd = share.weight + at * TILE_BYTES + lane * PIECE;
    ratio_gl_rd =
        share.weight + static_cast<size_t>(tiles) * work.chunks * TILE_BYTES + at * TILE_RATIOS + lane * PIECE;
    left = work.count;
    k += GROUPS * TILES;
  }

  // Starts the copies to the next slot.
  __device__ void next() {
    if (left > 0) {
      const uint64_t policy = read_once();
      copy_by(policy, at_sh, q_gl_rd);
      copy_by(policy, at_sh + TILE_BYTES / 2, q_gl_rd + TILE_BYTES / 2);
      if (left > 1) {
        copy_by(policy, at_sh + TILE_BYTES, q_gl_rd + TILE_BYTES);
        copy_by(policy, at_sh + TILE_BYTES * 3 / 2, q_gl_rd + TILE_BYTES * 3 / 2);
      }
      if (threadIdx.x % WARP < min(left, 2) * (TILE_RATIOS / PIECE)) {
        copy_piece(at_sh + 2 * TILE_BYTES, ratio_gl_rd, PIECE);
      }
      q_gl_rd += 2 * TILE_BYTES;
      ratio_gl_rd += 2 * TILE_RATIOS;
      at_sh = after(at_sh);
      left -= 2;
      if (left <= 0) find();
    }
    end_copies();
  }

  // Waits for the slot whose copies began first, of so many.
  static __device__ void await_slot(int slots) {
    if (slots == 4) {
      await_copies<3>();
    } else if (slots == 3) {
      await_copies<2>();
    } else {
      await_copies<1>();
    }
    __syncwarp();
  }

  __device__ uint32_t after(uint32_t slot_sh) const {
    return slot_sh + SLOT_BYTES == end_sh ? first_sh : slot_sh + SLOT_BYTES;
  }
};

#endif
