// scan: one token of each row, for Mamba2 with head_dim 64, state_dim 128 and a state that is rounded and replayed
//
// The formulas, and how a slot lies, stand in scan_ring.cuh. Row r of a batch is token r.
//
//   slots, positions  (rows)  i32
//   a, dt_bias, skip  (heads) f32
//   x                 (rows, heads * 64) f32, or codes with scales
//   dt                (rows, heads) f32 if dt_scale is null, else codes; f32 where x is
//   b, c              (rows, groups * 128) as x, the scales of codes equal within a group
//   state             (slots, state_stride) bytes, updated
//   state_scale       (heads, 64, 128) f32, read only for static scales
//   out               (rows, heads * 64) f32; may be x
//
// x, b and c begin at, and have strides of, multiples of eight codes or of four numbers; out of two.
// Entry points, at the end, input i8 or f32: scan_decode_input_row_f32 for a row-scaled state, scan_decode_input_i8_f32
// for static scales, scan_decode_input_f16_f32. Grid (groups * ceil(heads_per_group / heads_per_block), rows);
// heads_per_block does not show in the results.
#include "scan_ring.cuh"
#include "scan_round.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;
constexpr int BLOCK_WARPS = THREADS / WARP;

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
struct Shared {
  IntervalB<Element> b;
  IntervalX x[BLOCK_WARPS];
};

// The row of a block, with LAST where its token is the last of an interval.
template <class State, class Element, bool LAST>
__device__ void decode_row(Shared<Element>& sh, int row, int position, const Slot<State, Element>& slot,
                           const Heads& heads, const Inputs<Element>& in, const float* state_scale, float* out,
                           int out_stride, int heads_per_block) {
  const int i = LAST ? INTERVAL - 1 : position % INTERVAL;
  const bool fresh = position < INTERVAL;
  const int blocks_per_group = (heads.per_group + heads_per_block - 1) / heads_per_block;
  const int group = blockIdx.x / blocks_per_group;
  const int first_head = group * heads.per_group + blockIdx.x % blocks_per_group * heads_per_block;
  const int end_head = min(first_head + heads_per_block, (group + 1) * heads.per_group);
  const int warp = threadIdx.x / WARP;
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
  if (first_head + warp < end_head) begin(first_head + warp);

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
    __syncthreads();
  } else if (first_head == group * heads.per_group && threadIdx.x < Q_LANES) {
    Span<Element> own;
    own.template load<true>(b, State::first(q), State::second(q));
    own.store(bs + i * STATE_DIM, State::first(q), State::second(q));
  }

  for (int head = first_head + warp; head < end_head; head += BLOCK_WARPS) {
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
    if (!fresh) {
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
    *reinterpret_cast<float2*>(out + static_cast<size_t>(row) * out_stride + column) = y;
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
      round_tiles<State, Element>(head_state, slot.scales + first_row, head_scale, from_state, fresh, sh.b, sh.x[warp],
                                  0, TILES);
    }
    if (head + BLOCK_WARPS < end_head) begin(head + BLOCK_WARPS);
  }
}

template <class State, class Element>
__device__ void decode(const int* slots, const int* positions, const Heads& heads, const Inputs<Element>& in,
                       signed char* state, int state_stride, const float* state_scale, float* out, int out_stride,
                       int heads_per_block) {
  __shared__ Shared<Element> sh;
  const int row = blockIdx.y;
  const int position = positions[row];
  const Slot<State, Element> slot(state, state_stride, slots[row], heads.count);
  if (position % INTERVAL == INTERVAL - 1) {
    decode_row<State, Element, true>(sh, row, position, slot, heads, in, state_scale, out, out_stride, heads_per_block);
  } else {
    decode_row<State, Element, false>(sh, row, position, slot, heads, in, state_scale, out, out_stride,
                                      heads_per_block);
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, CODES_BLOCKS)
scan_decode_i8_row_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                       const signed char* x, int x_stride, const float* x_scale, int x_scale_step, const void* dt,
                       int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                       const float* b_scale, int b_scale_step, const signed char* c, int c_stride, const float* c_scale,
                       int c_scale_step, signed char* state, int state_stride, const float* state_scale, float* out,
                       int out_stride, int heads, int heads_per_group, int heads_per_block, float dt_min,
                       float dt_max) {
  decode<RowState, signed char>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, state_scale, out, out_stride, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_f32_row_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                        const float* x, int x_stride, const float* dt, int dt_stride, const float* b, int b_stride,
                        const float* c, int c_stride, signed char* state, int state_stride, const float* state_scale,
                        float* out, int out_stride, int heads, int heads_per_group, int heads_per_block, float dt_min,
                        float dt_max) {
  decode<RowState, float>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, state_scale, out, out_stride, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, STATIC_BLOCKS)
scan_decode_i8_i8_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                      const signed char* x, int x_stride, const float* x_scale, int x_scale_step, const void* dt,
                      int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                      const float* b_scale, int b_scale_step, const signed char* c, int c_stride, const float* c_scale,
                      int c_scale_step, signed char* state, int state_stride, const float* state_scale, float* out,
                      int out_stride, int heads, int heads_per_group, int heads_per_block, float dt_min, float dt_max) {
  decode<StaticState, signed char>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, state_scale, out, out_stride, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_f32_i8_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                       const float* x, int x_stride, const float* dt, int dt_stride, const float* b, int b_stride,
                       const float* c, int c_stride, signed char* state, int state_stride, const float* state_scale,
                       float* out, int out_stride, int heads, int heads_per_group, int heads_per_block, float dt_min,
                       float dt_max) {
  decode<StaticState, float>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, state_scale, out, out_stride, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_i8_f16_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                       const signed char* x, int x_stride, const float* x_scale, int x_scale_step, const void* dt,
                       int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                       const float* b_scale, int b_scale_step, const signed char* c, int c_stride, const float* c_scale,
                       int c_scale_step, signed char* state, int state_stride, const float* state_scale, float* out,
                       int out_stride, int heads, int heads_per_group, int heads_per_block, float dt_min,
                       float dt_max) {
  decode<HalfState, signed char>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, state_scale, out, out_stride, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_f32_f16_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                        const float* x, int x_stride, const float* dt, int dt_stride, const float* b, int b_stride,
                        const float* c, int c_stride, signed char* state, int state_stride, const float* state_scale,
                        float* out, int out_stride, int heads, int heads_per_group, int heads_per_block, float dt_min,
                        float dt_max) {
  decode<HalfState, float>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, state_scale, out, out_stride, heads_per_block);
}
