// The recurrence of scan for Mamba2 with a state that is rounded every INTERVAL tokens, for head_dim 64, state_dim 128.
//
// Memory holds the rounded state H as it was at the last multiple of INTERVAL tokens, and a ring of the inputs since.
// With d_k = exp(dt_k a) and w_j = d_{j+1} ... d_i, token i of its interval (i = position % INTERVAL) reads H once:
//
//   y_i = d_0 ... d_i (H C_i) + sum_{j <= i} w_j dt_j (B_j . C_i) x_j + skip x_i
//
// and the last of an interval leaves round(d_0 ... d_15 H + sum_j w_j dt_j x_j (x) B_j). The same functions serve one
// token and many, each sum in one order, so any cut of the tokens computes the same bits.
//
// Inputs x, b, c are codes (i8) with scales, those of b and of c equal within a group, or f32. A slot lies as
//
//   state   (heads, HEAD_DIM, STATE_DIM)  f16 or i8
//   scales  (heads, HEAD_DIM)             f32, of the rows of H; RowState only
//   steps   (heads, INTERVAL)             f32, dt of the interval's tokens
//   xs      (heads, INTERVAL, HEAD_DIM)   as x: codes or f32
//   bs      (groups, INTERVAL, STATE_DIM) as b: codes or f32
//
// without gaps, in this order; slots begin at multiples of 128 bytes. The order and these sums of bytes also stand in
// CudaSlot. H counts as zero before position INTERVAL.
//
// Lane l is (r, q) = (l / 8, l % 8): q tells the columns of H that it holds, r and a loop the rows; and it is the owner
// of the channels 2 l and 2 l + 1 of its head.
#pragma once
#include <cuda_fp16.h>

#include "device.cuh"

// These three also stand in CudaSlot and ScanState.
constexpr int HEAD_DIM = 64;
constexpr int STATE_DIM = 128;
constexpr int INTERVAL = 16;
constexpr int LANE_STATES = 16;  // columns of a lane
constexpr int Q_LANES = 8;       // lanes of a row

// Blocks that are to fit a multiprocessor; before sm_90 one less, as there the compiler needs more registers.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr int FEWER_BLOCKS = 1;
#else
constexpr int FEWER_BLOCKS = 0;
#endif
constexpr int CODES_BLOCKS = 4 - FEWER_BLOCKS;   // row-scaled state, codes
constexpr int WALK_BLOCKS = 5 - FEWER_BLOCKS;    // the same, many tokens
constexpr int STATIC_BLOCKS = 2 - FEWER_BLOCKS;  // static scales, codes
constexpr int MOST_BLOCKS = 3 - FEWER_BLOCKS;

// ---------------------------------------------------------------- formats of inputs

// Byte I of some codes as a float, exactly: b ^ 0x80 in the low bits of 2^23 is the number 2^23 + 128 + b.
template <int I>
__device__ float widen_one(unsigned biased) {
  return __uint_as_float(__byte_perm(biased, 0x4b000000u, 0x7540 + I)) - (8388608.0f + 128.0f);
}

inline __device__ void widen(unsigned codes, float* out) {
  const unsigned biased = codes ^ 0x80808080u;
  out[0] = widen_one<0>(biased), out[1] = widen_one<1>(biased);
  out[2] = widen_one<2>(biased), out[3] = widen_one<3>(biased);
}

// Rows are ALIGNED if they begin at multiples of eight codes or of four numbers. Rings are.
template <bool ALIGNED>
__device__ uint2 load_codes(const signed char* from) {
  if (ALIGNED) return *reinterpret_cast<const uint2*>(from);
  unsigned word[2] = {};
#pragma unroll
  for (int i = 0; i < 8; i++) word[i / 4] |= static_cast<unsigned>(static_cast<unsigned char>(from[i])) << i % 4 * 8;
  return {word[0], word[1]};
}

template <bool ALIGNED>
__device__ float4 load_numbers(const float* from) {
  if (ALIGNED) return *reinterpret_cast<const float4*>(from);
  return {from[0], from[1], from[2], from[3]};
}

// Sixteen elements of b or c that a lane holds, in two runs of eight from columns first and second on.
template <class Element>
struct Span;

template <>
struct Span<signed char> {
  unsigned codes[4];

  template <bool ALIGNED>
  __device__ void load(const signed char* from, int first, int second) {
    const uint2 low = load_codes<ALIGNED>(from + first);
    const uint2 high = load_codes<ALIGNED>(from + second);
    codes[0] = low.x, codes[1] = low.y, codes[2] = high.x, codes[3] = high.y;
  }
  __device__ void store(signed char* to, int first, int second) const {
    *reinterpret_cast<uint2*>(to + first) = {codes[0], codes[1]};
    *reinterpret_cast<uint2*>(to + second) = {codes[2], codes[3]};
  }
  // A lane's part of a product with another span: exact.
  __device__ int dot(const Span& other) const {
    int sum = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) sum = __dp4a(static_cast<int>(codes[i]), static_cast<int>(other.codes[i]), sum);
    return sum;
  }
  __device__ void values(float (&out)[LANE_STATES]) const {
#pragma unroll
    for (int i = 0; i < 4; i++) widen(codes[i], out + 4 * i);
  }
};

template <>
struct Span<float> {
  float numbers[LANE_STATES];

  template <bool ALIGNED>
  __device__ void load(const float* from, int first, int second) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float4 four = load_numbers<ALIGNED>(from + (i < 2 ? first : second) + i % 2 * 4);
      numbers[4 * i] = four.x, numbers[4 * i + 1] = four.y, numbers[4 * i + 2] = four.z, numbers[4 * i + 3] = four.w;
    }
  }
  __device__ void store(float* to, int first, int second) const {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      *reinterpret_cast<float4*>(to + (i < 2 ? first : second) + i % 2 * 4) = {
          numbers[4 * i], numbers[4 * i + 1], numbers[4 * i + 2], numbers[4 * i + 3]};
    }
  }
  __device__ float dot(const Span& other) const {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < LANE_STATES; i++) sum = fmaf(numbers[i], other.numbers[i], sum);
    return sum;
  }
  __device__ void values(float (&out)[LANE_STATES]) const {
#pragma unroll
    for (int i = 0; i < LANE_STATES; i++) out[i] = numbers[i];
  }
};

// Two neighbouring channels of x, as they lie in memory.
template <class Element>
struct Pair;

template <>
struct Pair<signed char> {
  unsigned short codes;
  template <bool ALIGNED>
  __device__ void load(const signed char* from) {
    if (ALIGNED) {
      codes = *reinterpret_cast<const unsigned short*>(from);
    } else {
      codes = static_cast<unsigned char>(from[0]) | static_cast<unsigned char>(from[1]) << 8;
    }
  }
  __device__ void store(signed char* to) const { *reinterpret_cast<unsigned short*>(to) = codes; }
  __device__ float2 values() const {
    const unsigned biased = codes ^ 0x8080u;
    return {widen_one<0>(biased), widen_one<1>(biased)};
  }
};

template <>
struct Pair<float> {
  float2 numbers;
  template <bool ALIGNED>
  __device__ void load(const float* from) {
    if (ALIGNED) {
      numbers = *reinterpret_cast<const float2*>(from);
    } else {
      numbers = {from[0], from[1]};
    }
  }
  __device__ void store(float* to) const { *reinterpret_cast<float2*>(to) = numbers; }
  __device__ float2 values() const { return numbers; }
};

// ---------------------------------------------------------------- arguments

// x, b and c, and their scales where they are codes; dt is f32 if it has no scales, else codes.
template <class Element>
struct Inputs {
  const Element* x;
  int x_stride;
  const float* x_scale;
  int x_scale_step;
  const void* dt;
  int dt_stride;
  const float* dt_scale;
  int dt_scale_step;
  const Element* b;
  int b_stride;
  const float* b_scale;
  int b_scale_step;
  const Element* c;
  int c_stride;
  const float* c_scale;
  int c_scale_step;
};

struct Heads {
  const float* a;
  const float* dt_bias;
  const float* skip;
  int count;
  int per_group;
  float dt_min;
  float dt_max;

  template <class Element>
  __device__ float raw(const Inputs<Element>& in, int token, int head) const {
    const size_t at = static_cast<size_t>(token) * in.dt_stride + head;
    // Never fused with the sum: a code's value is the same number as in f32.
    return in.dt_scale == nullptr ? static_cast<const float*>(in.dt)[at]
                                  : __fmul_rn(static_cast<const signed char*>(in.dt)[at],
                                              in.dt_scale[head * in.dt_scale_step]);
  }
  __device__ float step(float raw, int head) const {
    return fminf(fmaxf(softplus(__fadd_rn(raw, dt_bias[head])), dt_min), dt_max);
  }
  template <class Element>
  __device__ float step(const Inputs<Element>& in, int token, int head) const {
    return step(raw(in, token, head), head);
  }
};

// The scale at a column, 1 for inputs without.
inline __device__ float scale_of(const float* scale, int step, int column) {
  return scale == nullptr ? 1 : scale[column * step];
}

// ---------------------------------------------------------------- formats of H

// Row-scaled codes. A lane holds 16 neighbouring columns.
struct RowState {
  using Element = signed char;
  static constexpr bool ROW_SCALES = true;
  static constexpr bool ELEMENT_SCALES = false;
  static constexpr int ROWS_AT_ONCE = 16;  // loads in flight before the first is used
  struct Piece {
    uint4 codes;
  };
  static __device__ int first(int q) { return q * LANE_STATES; }
  static __device__ int second(int q) { return q * LANE_STATES + 8; }
  static __device__ Piece load(const Element* row, int q) {
    return {*reinterpret_cast<const uint4*>(row + q * LANE_STATES)};
  }
  static __device__ void values(const Piece& piece, float (&out)[LANE_STATES]) {
    widen(piece.codes.x, out);
    widen(piece.codes.y, out + 4);
    widen(piece.codes.z, out + 8);
    widen(piece.codes.w, out + 12);
  }
};

// Codes with a scale for each element, (heads, HEAD_DIM, STATE_DIM).
struct StaticState : RowState {
  static constexpr bool ROW_SCALES = false;
  static constexpr bool ELEMENT_SCALES = true;
  static constexpr int ROWS_AT_ONCE = 4;
};

// binary16. A lane holds two runs of 8 columns, so that eight lanes read 128 neighbouring bytes.
struct HalfState {
  using Element = __half;
  static constexpr bool ROW_SCALES = false;
  static constexpr bool ELEMENT_SCALES = false;
  static constexpr int ROWS_AT_ONCE = 4;
  struct Piece {
    uint4 low, high;
  };
  static __device__ int first(int q) { return q * 8; }
  static __device__ int second(int q) { return STATE_DIM / 2 + q * 8; }
  static __device__ Piece load(const Element* row, int q) {
    return {*reinterpret_cast<const uint4*>(row + first(q)), *reinterpret_cast<const uint4*>(row + second(q))};
  }
  static __device__ void halves(unsigned two, float* out) {
    const float2 both = __half22float2(*reinterpret_cast<const __half2*>(&two));
    out[0] = both.x, out[1] = both.y;
  }
  static __device__ void values(const Piece& piece, float (&out)[LANE_STATES]) {
    halves(piece.low.x, out), halves(piece.low.y, out + 2), halves(piece.low.z, out + 4), halves(piece.low.w, out + 6);
    halves(piece.high.x, out + 8), halves(piece.high.y, out + 10), halves(piece.high.z, out + 12);
    halves(piece.high.w, out + 14);
  }
};

// Where the parts of one slot lie.
template <class State, class Element>
struct Slot {
  typename State::Element* state;
  float* scales;
  float* steps;
  Element* xs;
  Element* bs;

  __device__ Slot(signed char* states, int stride, int index, int heads) {
    state = reinterpret_cast<typename State::Element*>(states + static_cast<size_t>(index) * stride);
    scales = reinterpret_cast<float*>(state + static_cast<size_t>(heads) * HEAD_DIM * STATE_DIM);
    steps = scales + (State::ROW_SCALES ? heads * HEAD_DIM : 0);
    xs = reinterpret_cast<Element*>(steps + heads * INTERVAL);
    bs = xs + static_cast<size_t>(heads) * INTERVAL * HEAD_DIM;
  }
};

// ---------------------------------------------------------------- sums over lanes

// Sums over the eight lanes of r, of eight values at once: lane q gets that of value q.
template <class Number>
__device__ Number transposed_sum(Number (&value)[Q_LANES]) {
  const int lane = threadIdx.x % WARP;
#pragma unroll
  for (int apart = Q_LANES / 2; apart > 0; apart /= 2) {
    const bool upper = lane & apart;
#pragma unroll
    for (int i = 0; i < apart; i++) {
      const Number kept = upper ? value[i + apart] : value[i];
      const Number given = upper ? value[i] : value[i + apart];
      value[i] = kept + __shfl_xor_sync(ALL_LANES, given, apart);
    }
  }
  return value[0];
}

// ---------------------------------------------------------------- weights of an interval's tokens

// Lane j < INTERVAL: w_j, the decay from token j to token i; lane INTERVAL: that of H. decay is d_j in lane j.
inline __device__ float decay_until(float decay, int i) {
  const int lane = threadIdx.x % WARP;
  const int after = lane == INTERVAL ? -1 : lane;
  float product = 1;
#pragma unroll
  for (int k = 0; k < INTERVAL; k++) {
    const float factor = __shfl_sync(ALL_LANES, decay, k);
    if (k > after && k <= i) product *= factor;
  }
  return product;
}

// B_j . C in lane j, for j <= i; later lanes hold nothing of use. at(j): where B_j lies.
template <class State, bool ALIGNED, class Element, class At>
__device__ auto ring_dots(At at, const Span<Element>& c, int i) {
  const int lane = threadIdx.x % WARP;
  const int q = lane % Q_LANES;
  decltype(c.dot(c)) parts[Q_LANES] = {};
#pragma unroll
  for (int k = 0; k < 4; k++) {
    if (k == 2) asm volatile("" ::: "memory");  // holds back later loads: registers
    Span<Element> entry;
    entry.template load<ALIGNED>(at(min(lane / Q_LANES * 4 + k, i)), State::first(q), State::second(q));
    parts[2 * k] = entry.dot(c);
  }
  // Lane (r, 2 k) has entry 4 r + k.
  return __shfl_sync(ALL_LANES, transposed_sum(parts), 2 * lane % WARP);
}

// ---------------------------------------------------------------- H C

// One token's C in the lanes' columns, ready for products with H.
template <class State, class Element>
struct Reader {
  float values[LANE_STATES];

  __device__ explicit Reader(const Span<Element>& c) { c.values(values); }
  __device__ float dot(const typename State::Piece& piece, const float*) const {
    float elements[LANE_STATES];
    State::values(piece, elements);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < LANE_STATES; i++) sum = fmaf(elements[i], values[i], sum);
    return sum;
  }
};

template <>
struct Reader<RowState, signed char> {
  Span<signed char> codes;

  __device__ explicit Reader(const Span<signed char>& c) : codes(c) {}
  __device__ int dot(const RowState::Piece& piece, const float*) const {
    const Span<signed char> row = {{piece.codes.x, piece.codes.y, piece.codes.z, piece.codes.w}};
    return codes.dot(row);
  }
};

template <class Element>
struct Reader<StaticState, Element> {
  float values[LANE_STATES];

  __device__ explicit Reader(const Span<Element>& c) { c.values(values); }
  __device__ float dot(const StaticState::Piece& piece, const float* scales) const {
    float elements[LANE_STATES];
    StaticState::values(piece, elements);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < LANE_STATES; i += 4) {
      const float4 scale = *reinterpret_cast<const float4*>(scales + i);
      sum = fmaf(elements[i] * scale.x, values[i], sum);
      sum = fmaf(elements[i + 1] * scale.y, values[i + 1], sum);
      sum = fmaf(elements[i + 2] * scale.z, values[i + 2], sum);
      sum = fmaf(elements[i + 3] * scale.w, values[i + 3], sum);
    }
    return sum;
  }
};
