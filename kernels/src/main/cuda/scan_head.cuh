// One token of one head by four warps, as scan_decode.cu does it with one: for a row alone, where heads are few and time
// goes by in waiting. All but the token's inputs is copied to shared memory before they are there. Holds no entry point.
#pragma once
#include "scan_decode.cuh"

// What a token of a head reads beside its inputs, as it lies in a slot.
struct HeadBefore {
  signed char state[HEAD_DIM * STATE_DIM * sizeof(__half)];  // codes or halves
  signed char xs[INTERVAL * HEAD_DIM];
  signed char bs[INTERVAL * STATE_DIM];
  float steps[INTERVAL];
  float scales[HEAD_DIM];  // of the rows of a row-scaled state
};

// Only for the last token of an interval.
struct HeadShared {
  IntervalB<signed char> b;
  IntervalX x;
};

constexpr int HEAD_THREADS = DECODE_THREADS;
static_assert(HEAD_THREADS / WARP == TILES, "a warp has a tile of rows");

// The token of row 0, by the first HEAD_THREADS threads of a block. A lane of the lower half has a channel of its warp's
// tile; the upper half repeats it. Before `before` is read, await() is called.
template <class State, class Await>
__device__ void scan_head(HeadShared& sh, const HeadBefore& before, Await await, int head, int position,
                          const Slot<State, signed char>& slot, const Heads& heads, const Inputs<signed char>& in,
                          const float* state_scale, float* out) {
  const int i = position % INTERVAL;
  const bool fresh = position < INTERVAL;
  const bool last = i == INTERVAL - 1;
  const int group = head / heads.per_group;
  const int warp = threadIdx.x / WARP;
  const int lane = threadIdx.x % WARP;
  const int q = lane % Q_LANES;
  const int channel = warp * TILE_ROWS + lane % TILE_ROWS;
  const size_t first_row = static_cast<size_t>(head) * HEAD_DIM;
  const int column = static_cast<int>(first_row) + channel;
  typename State::Element* head_state = slot.state + first_row * STATE_DIM;
  const float* head_scale = State::ELEMENT_SCALES ? state_scale + first_row * STATE_DIM : nullptr;

  const signed char* own_b = in.b + group * STATE_DIM;
  Span<signed char> c_span;
  c_span.load<true>(in.c + group * STATE_DIM, State::first(q), State::second(q));
  const int own_x = in.x[column];
  const float b_scale = scale_of(in.b_scale, in.b_scale_step, group * STATE_DIM);
  const float c_scale = scale_of(in.c_scale, in.c_scale_step, group * STATE_DIM);
  const float x_scale = scale_of(in.x_scale, in.x_scale_step, column);
  const float a = heads.a[head];
  const float skip = heads.skip[head];
  float dt = heads.step(in, 0, head);
  await();
  if (lane < i) dt = before.steps[lane];
  if (lane > i) dt = 0;

  const auto b_at = [&](int entry) { return entry < i ? before.bs + entry * STATE_DIM : own_b; };
  const float b_dot = static_cast<float>(ring_dots<State, true>(b_at, c_span, i)) * (b_scale * c_scale);
  float held = 0;
  float row_scale = 1;
  if (!fresh) {
    const Reader<State, signed char> c(c_span);
    constexpr int ROWS = TILE_ROWS / (WARP / Q_LANES);
    const int row = warp * TILE_ROWS + lane / Q_LANES * ROWS;
    const auto* state = reinterpret_cast<const typename State::Element*>(before.state);
    decltype(c.dot({}, nullptr)) parts[Q_LANES];
#pragma unroll
    for (int k = 0; k < ROWS; k++) {
      parts[k] = c.dot(State::load(state + (row + k) * STATE_DIM, q),
                       head_scale + (row + k) * STATE_DIM + State::first(q));
      parts[ROWS + k] = parts[k];
    }
    const float sum = static_cast<float>(transposed_sum(parts));
    held = __shfl_sync(ALL_LANES, sum, lane % TILE_ROWS / ROWS * Q_LANES + lane % ROWS);
    if (State::ROW_SCALES) row_scale = before.scales[channel];
  }

  const float until = decay_until(expf(dt * a), i);
  const float from_state = __shfl_sync(ALL_LANES, until, INTERVAL);
  const float weight = until * dt;
  // The skip is the token's own input once more.
  const float factor = fmaf(weight, b_dot, lane == i ? skip : 0);
  const auto x = [&](int j) {
    return static_cast<float>(j < i ? before.xs[j * HEAD_DIM + channel] : static_cast<signed char>(own_x));
  };
  float sum = 0;
#pragma unroll
  for (int j = 0; j < INTERVAL; j++) {
    const float own = __shfl_sync(ALL_LANES, factor, j);
    if (j <= i) sum = fmaf(own, x(j), sum);
  }
  const float y = fmaf(held, from_state * c_scale * row_scale, sum * x_scale);
  if (lane < TILE_ROWS) out[column] = y;

  if (!last) {
    if (lane < TILE_ROWS) slot.xs[first_row * INTERVAL + i * HEAD_DIM + channel] = static_cast<signed char>(own_x);
    if (warp == 0 && lane == i) slot.steps[head * INTERVAL + i] = dt;
    if (head % heads.per_group == 0 && threadIdx.x < Q_LANES) {
      Span<signed char> own;
      own.load<true>(own_b, State::first(q), State::second(q));
      own.store(slot.bs + (group * INTERVAL + i) * STATE_DIM, State::first(q), State::second(q));
    }
    return;
  }
  put_b<State, true>(sh.b, b_at);
  const float into_state = weight * b_scale;
#pragma unroll
  for (int j = 0; j < INTERVAL; j++) {
    const float own = __shfl_sync(ALL_LANES, into_state, j);
    if (lane < TILE_ROWS) sh.x[j][channel] = x(j) * x_scale * own;
  }
  sync_first<HEAD_THREADS>();
  round_tiles<State, signed char>(head_state, slot.scales + first_row, head_scale, from_state, fresh, sh.b, sh.x, warp,
                                  warp + 1);
}
