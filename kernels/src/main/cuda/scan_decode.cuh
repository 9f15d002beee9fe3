// What scan_decode.cu does with a row. Holds no entry point.
#pragma once
#include "scan_ring.cuh"
#include "scan_round.cuh"

constexpr int DECODE_THREADS = 128;
constexpr int DECODE_WARPS = DECODE_THREADS / WARP;
constexpr int SHARERS = 2;  // warps that share the rounding of a head of a split row

// Rows whose token is the last of an interval take long, so the first `rows` are split among `ways` times the blocks if
// they are such: the first blocks of a grid have all but their first parts.
struct Split {
  int rows;
  int ways;

  __device__ int more() const { return rows * (ways - 1); }  // of gridDim.z
};

// What a block works on.
struct Place {
  int row, position, slot, part;
  int heads;  // of the part, at most
  bool is_last, is_split;

  // Whether this block has nothing to do.
  static __device__ bool is_empty(const int* positions, const Split& split) {
    const int z = blockIdx.z;
    return z < split.more() && positions[z / (split.ways - 1)] % INTERVAL != INTERVAL - 1;
  }

  __device__ Place(const int* slots, const int* positions, const Split& split, int heads_per_block) {
    const int z = static_cast<int>(blockIdx.z) - split.more();
    row = z < 0 ? blockIdx.z / (split.ways - 1) : z;
    part = z < 0 ? (blockIdx.z % (split.ways - 1) + 1) * gridDim.x + blockIdx.x : blockIdx.x;
    position = positions[row];
    slot = slots[row];
    asm volatile("" : "+r"(position), "+r"(slot));  // both are on their way before one is looked at
    is_last = position % INTERVAL == INTERVAL - 1;
    is_split = is_last && row < split.rows;
    heads = is_split ? (heads_per_block + split.ways - 1) / split.ways : heads_per_block;
  }
};

// A barrier of the warps that share a head, the first or the second of two at once.
inline __device__ void sync_sharers(int head) {
  static_assert(DECODE_WARPS / SHARERS == 2, "known to the compiler, they take two of the barriers, or else all");
  if (head == 0) {
    asm volatile("bar.sync 2, %0;" ::"n"(SHARERS * WARP) : "memory");
  } else {
    asm volatile("bar.sync 3, %0;" ::"n"(SHARERS * WARP) : "memory");
  }
}

// The interval's x of two channels of a head, the token's own among them.
template <class Element>
struct History {
  Pair<Element> x[INTERVAL];

  __device__ void load(const Element* ring, const Element* own, int i) {
#pragma unroll
    for (int j = 0; j < INTERVAL; j++) {
      if (j <= i) x[j].template load<true>(j < i ? ring + j * HEAD_DIM : own);
    }
  }
  __device__ float2 at(int j) const { return x[j].values(); }
  __device__ void keep(Element* ring, int i) const {
#pragma unroll
    for (int j = 0; j < INTERVAL; j++) {
      if (j == i) x[j].store(ring + j * HEAD_DIM);
    }
  }
};

// Brings a line nearer, for a load that comes later.
inline __device__ void prefetch(const void* at) { asm volatile("prefetch.global.L2 [%0];" ::"l"(at)); }

// A head's rows of H, as a lane reads them for products with C: all at once where registers allow.
template <class State, class Element>
struct Rows {
  static constexpr int AT_ONCE = sizeof(Element) == 1 || State::ROWS_AT_ONCE < 8 ? State::ROWS_AT_ONCE : 8;
  typename State::Piece pieces[AT_ONCE];

  static __device__ int row(int i) { return (threadIdx.x % WARP / Q_LANES * Q_LANES + i % Q_LANES) * 2 + i / Q_LANES; }
  __device__ void load(const typename State::Element* state, int first) {
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      pieces[i] = State::load(state + row(first + i) * STATE_DIM, threadIdx.x % Q_LANES);
    }
  }
  // Before anything else of the head.
  __device__ void begin(const typename State::Element* state) {
    if (AT_ONCE == 2 * Q_LANES) load(state, 0);
  }
  // H C, without the scales of rows and of c, for the lane's two channels. state, element_scales: of the head.
  __device__ float2 dot(const typename State::Element* state, const float* element_scales,
                        const Reader<State, Element>& c) {
    float2 sums = {0, 0};
    // One parity after the other where registers are few.
#pragma unroll(AT_ONCE / Q_LANES > 1 ? 2 : 1)
    for (int parity = 0; parity < 2; parity++) {
      decltype(c.dot(pieces[0], nullptr)) parts[Q_LANES];
#pragma unroll
      for (int k = 0; k < Q_LANES; k++) {
        const int i = parity * Q_LANES + k;
        if (AT_ONCE < 2 * Q_LANES && k % AT_ONCE == 0) load(state, i);
        parts[k] = c.dot(pieces[AT_ONCE < 2 * Q_LANES ? k % AT_ONCE : i],
                         element_scales + row(i) * STATE_DIM + State::first(threadIdx.x % Q_LANES));
      }
      const float sum = static_cast<float>(transposed_sum(parts));
      if (parity == 0) {
        sums.x = sum;
      } else {
        sums.y = sum;
      }
    }
    return sums;
  }
};

// Only for the last token of an interval.
template <class Element>
struct DecodeShared {
  IntervalB<Element> b;
  IntervalX x[DECODE_WARPS];
};

// A place in a group, with LAST where its token is the last of an interval.
template <class State, class Element, bool LAST>
__device__ void decode_part(DecodeShared<Element>& sh, const Place& place, int group, const Slot<State, Element>& slot,
                            const Heads& heads, const Inputs<Element>& in, const float* state_scale, float* out,
                            int out_stride) {
  const int row = place.row;
  const int i = LAST ? INTERVAL - 1 : place.position % INTERVAL;
  const bool fresh = place.position < INTERVAL;
  const int first_head = group * heads.per_group + place.part * place.heads;
  const int end_head = min(first_head + place.heads, (group + 1) * heads.per_group);
  const int at_once = LAST && place.is_split ? DECODE_WARPS / SHARERS : DECODE_WARPS;
  const int warp = threadIdx.x / WARP;
  const int turn = LAST ? warp % at_once : warp;
  const int sharer = LAST ? warp / at_once : 0;
  const int lane = threadIdx.x % WARP;
  const int q = lane % Q_LANES;

  // A head's loads, all before the first use of any: a block lives for little more than two trips to memory.
  Rows<State, Element> rows;
  History<Element> x;
  float dt;
  const auto begin = [&](int head) {
    const size_t first_row = static_cast<size_t>(head) * HEAD_DIM;
    if (!LAST && !fresh) rows.begin(slot.state + first_row * STATE_DIM);
    dt = lane < i ? slot.steps[head * INTERVAL + lane % INTERVAL] : 0;
    constexpr int LINE = sizeof(Element) == 1 ? HEAD_DIM : HEAD_DIM / 2;
    if (lane * LINE < i * HEAD_DIM) prefetch(slot.xs + first_row * INTERVAL + lane * LINE);
    if (State::ROW_SCALES && !fresh) prefetch(slot.scales + first_row + 2 * lane);
  };
  if (first_head + turn < end_head) begin(first_head + turn);

  Element* bs = slot.bs + group * INTERVAL * STATE_DIM;
  const Element* b = in.b + static_cast<size_t>(row) * in.b_stride + group * STATE_DIM;
  Span<Element> c_span;
  const Element* own_c = in.c + static_cast<size_t>(row) * in.c_stride + group * STATE_DIM;
  c_span.template load<true>(own_c, State::first(q), State::second(q));
  const float b_scale = scale_of(in.b_scale, in.b_scale_step, group * STATE_DIM);
  const float c_scale = scale_of(in.c_scale, in.c_scale_step, group * STATE_DIM);
  const auto b_at = [&](int entry) -> const Element* { return entry < i ? bs + entry * STATE_DIM : b; };
  const float b_dot = static_cast<float>(ring_dots<State, true>(b_at, c_span, i)) * (b_scale * c_scale);
  if (LAST) {
    put_b<State, true>(sh.b, b_at);
    sync_first<DECODE_THREADS>();
  } else if (place.part == 0 && threadIdx.x < Q_LANES) {
    Span<Element> own;
    own.template load<true>(b, State::first(q), State::second(q));
    own.store(bs + i * STATE_DIM, State::first(q), State::second(q));
  }

  for (int head = first_head + turn; head < end_head; head += at_once) {
    const int column = head * HEAD_DIM + 2 * lane;
    const size_t first_row = static_cast<size_t>(head) * HEAD_DIM;
    typename State::Element* head_state = slot.state + first_row * STATE_DIM;
    const float* head_scale = State::ELEMENT_SCALES ? state_scale + first_row * STATE_DIM : nullptr;
    x.load(slot.xs + first_row * INTERVAL + 2 * lane,
           in.x + static_cast<size_t>(row) * in.x_stride + first_row + 2 * lane, i);
    if (LAST) c_span.template load<true>(own_c, State::first(q), State::second(q));  // again: registers do not last
    const Reader<State, Element> c(c_span);
    float2 held = {0, 0};
    float2 row_scale = {1, 1};
    if (!fresh && sharer == 0) {
      if (State::ROW_SCALES) row_scale = *reinterpret_cast<const float2*>(slot.scales + first_row + 2 * lane);
      if (LAST) rows.begin(head_state);
      held = rows.dot(head_state, head_scale, c);
    }
    if (lane == i) dt = heads.step(in, row, head);
    const float until = decay_until(expf(dt * heads.a[head]), i);
    const float from_state = __shfl_sync(ALL_LANES, until, INTERVAL);
    const float weight = until * dt;
    // The skip is the token's own input once more.
    const float factor = fmaf(weight, b_dot, lane == i ? heads.skip[head] : 0);
    float2 sum = {0, 0};
#pragma unroll
    for (int j = 0; j < INTERVAL; j++) {
      if (j <= i) {
        const float own = __shfl_sync(ALL_LANES, factor, j);
        const float2 value = x.at(j);
        sum = {fmaf(own, value.x, sum.x), fmaf(own, value.y, sum.y)};
      }
    }
    const float2 x_scale = {scale_of(in.x_scale, in.x_scale_step, column),
                            scale_of(in.x_scale, in.x_scale_step, column + 1)};
    const float state_scale = from_state * c_scale;
    const float2 y = {fmaf(held.x, state_scale * row_scale.x, sum.x * x_scale.x),
                      fmaf(held.y, state_scale * row_scale.y, sum.y * x_scale.y)};
    if (sharer == 0) *reinterpret_cast<float2*>(out + static_cast<size_t>(row) * out_stride + column) = y;
    if (!LAST) {
      x.keep(slot.xs + first_row * INTERVAL + 2 * lane, i);
      if (lane == i) slot.steps[head * INTERVAL + i] = dt;
    } else {
      const float into_state = weight * b_scale;
      __syncwarp();  // the readers of the head before are done
#pragma unroll
      for (int j = 0; j < INTERVAL; j++) {
        const float own = __shfl_sync(ALL_LANES, into_state, j);
        const float2 value = x.at(j);
        *reinterpret_cast<float2*>(&sh.x[warp][j][2 * lane]) = {value.x * x_scale.x * own, value.y * x_scale.y * own};
      }
      __syncwarp();
      if (place.is_split) sync_sharers(turn);  // H is read
      const int tiles = place.is_split ? TILES / SHARERS : TILES;
      round_tiles<State, Element>(head_state, slot.scales + first_row, head_scale, from_state, fresh, sh.b, sh.x[warp],
                                  sharer * tiles, (sharer + 1) * tiles);
    }
    if (head + at_once < end_head) begin(head + at_once);
  }
}
