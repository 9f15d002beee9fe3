// scan of Mamba1: as scan.cu, with heads of one channel, an a for each state and one group
//
//   dt  = clamp(softplus(dt + dt_bias[h]), dt_min, dt_max)
//   S_t = exp(dt * a[h]) S_{t-1} + dt * x_t * B_t             per head h, over the states
//   y_t = S_t C_t + skip[h] * x_t
//
//   slots, positions  (rows)      i32
//   starts            (rows + 1)  i32, row r has the tokens starts[r] ... starts[r + 1] - 1
//   a                 (heads, state_dim) f32
//   dt_bias, skip     (heads)     f32
//   x                 (tokens, heads) f32, or codes with scales
//   dt                (tokens, heads) f32, or where x is codes also codes with scales
//   b, c              (tokens, state_dim) as x
//   state             (slots, state_dim, heads) f32, so that neighbouring threads read neighbouring elements; updated
//   state_scale       (heads, state_dim) f32, read only for ROUND_STATIC_SCALED
//   out               (tokens, heads) f32; may be x
//
// Entry points, at the end, dtypes of x, dt where x is codes, state and out; for state_dim up to 16, wide up to 64:
//   scan_channels_f32_f32_f32      scan_channels_wide_f32_f32_f32
//   scan_channels_i8_f32_f32_f32   scan_channels_wide_i8_f32_f32_f32
//   scan_channels_i8_i8_f32_f32    scan_channels_wide_i8_i8_f32_f32
#include "scan.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;

// The most states of each form; also in CudaScan.
constexpr int CHANNELS_STATES = 16;
constexpr int CHANNELS_WIDE_STATES = 64;

// What a model is made of, the same for all rows.
struct Channels {
  const float* a;
  const float* dt_bias;
  const float* skip;
  int heads;
  int state_dim;
};

template <int STATES>
__device__ void round_channel(float (&s)[STATES], int form, const float* scale, int state_dim) {
  if (form == ROUND_HALF) {
#pragma unroll
    for (int n = 0; n < STATES; n++) s[n] = half_rounded(s[n]);
  } else if (form == ROUND_ROW_SCALED) {
    float most = 0;
#pragma unroll
    for (int n = 0; n < STATES; n++) most = fmaxf(most, fabsf(s[n]));
    const float own_scale = row_scale(most);
#pragma unroll
    for (int n = 0; n < STATES; n++) s[n] = row_rounded(s[n], own_scale);
  } else {
#pragma unroll
    for (int n = 0; n < STATES; n++) {
      if (n < state_dim) s[n] = scaled_rounded(s[n], scale[n]);
    }
  }
}

// Each of the states' numbers of one token, which are the same for all channels: a lane holds n = lane, lane + 32, ...
template <int STATES, typename T>
struct Spread {
  static constexpr int EACH = (STATES + WARP - 1) / WARP;
  float units[EACH];
  float own[EACH];

  __device__ Spread(Values<T> values, int lane, int state_dim) {
#pragma unroll
    for (int j = 0; j < EACH; j++) units[j] = lane + j * WARP < state_dim ? values.unit(lane + j * WARP) : 0;
  }
  __device__ void read(Values<T> values, int token, int lane, int state_dim) {
#pragma unroll
    for (int j = 0; j < EACH; j++) {
      const int n = lane + j * WARP;
      own[j] = n < state_dim ? Values<T>::widen(values.raw(token, n), units[j]) : 0;
    }
  }
  __device__ float of(int n) const { return __shfl_sync(ALL_LANES, own[n / WARP], n % WARP); }
};

// A thread holds a channel: its up to STATES states and their a. Grid (rows, ceil(heads / THREADS)). y sums the states
// first to last. The exponential of each state is the cost. Whole warps go through all tokens, as their lanes share b
// and c.
template <int STATES, typename T, typename D>
__device__ void scan_channels(Row row, Channels p, Inputs<T, D> in, float* state, int state_stride, Rounding rounding,
                              float* out, int out_stride, float dt_min, float dt_max) {
  const int lane = threadIdx.x % WARP;
  const int head = blockIdx.y * THREADS + threadIdx.x;
  const bool there = head < p.heads;
  float* own_state = state + static_cast<size_t>(row.slot) * state_stride + head;
  const float own_bias = there ? p.dt_bias[head] : 0;
  const float own_skip = there ? p.skip[head] : 0;
  const float x_unit = there ? in.x.unit(head) : 0;
  const float dt_unit = there ? in.dt.unit(head) : 0;
  Spread<STATES, T> b(in.b, lane, p.state_dim);
  Spread<STATES, T> c(in.c, lane, p.state_dim);
  float own_a[STATES];
  float s[STATES];
#pragma unroll
  for (int n = 0; n < STATES; n++) {
    const bool held = there && n < p.state_dim;
    own_a[n] = held ? p.a[static_cast<size_t>(head) * p.state_dim + n] : 0;
    s[n] = held && row.position > 0 ? own_state[static_cast<size_t>(n) * p.heads] : 0;
  }
  for (int token = row.first; token < row.end; token++) {
    const float raw = there ? Values<D>::widen(in.dt.raw(token, head), dt_unit) : 0;
    const float dt = step_size(__fadd_rn(raw, own_bias), dt_min, dt_max);
    const float x = there ? Values<T>::widen(in.x.raw(token, head), x_unit) : 0;
    b.read(in.b, token, lane, p.state_dim);
    c.read(in.c, token, lane, p.state_dim);
    const float scaled = x * dt;
    float y = 0;
#pragma unroll
    for (int n = 0; n < STATES; n++) {
      if (n < p.state_dim) {  // the same in all lanes
        s[n] = fmaf(scaled, b.of(n), s[n] * expf(dt * own_a[n]));
        y = fmaf(s[n], c.of(n), y);
      }
    }
    if (there) {
      out[static_cast<size_t>(token) * out_stride + head] = fmaf(x, own_skip, y);
      if (rounding.is_due(row, token)) {
        round_channel(s, rounding.form, rounding.scale + static_cast<size_t>(head) * p.state_dim, p.state_dim);
      }
    }
  }
#pragma unroll
  for (int n = 0; n < STATES; n++) {
    if (there && n < p.state_dim) own_state[static_cast<size_t>(n) * p.heads] = s[n];
  }
}

// ---------------------------------------------------------------- entry points

// Registers hold 2 * STATES numbers a thread: real models have state_dim 16, the wide form trades occupancy for the
// rest.

extern "C" __global__ void __launch_bounds__(THREADS)
scan_channels_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                          const float* dt_bias, const float* skip, const float* x, int x_stride, const float* dt,
                          int dt_stride, const float* b, int b_stride, const float* c, int c_stride, float* state,
                          int state_stride, int rounding, const float* state_scale, float* out, int out_stride,
                          int heads, int state_dim, float dt_min, float dt_max) {
  scan_channels<CHANNELS_STATES, float, float>(row_of(slots, starts, positions), {a, dt_bias, skip, heads, state_dim},
                                               {{x, x_stride}, {dt, dt_stride}, {b, b_stride}, {c, c_stride}}, state,
                                               state_stride, {rounding, state_scale}, out, out_stride, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_channels_i8_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                             const float* dt_bias, const float* skip, const signed char* x, int x_stride,
                             const float* x_scale, int x_scale_step, const float* dt, int dt_stride,
                             const signed char* b, int b_stride, const float* b_scale, int b_scale_step,
                             const signed char* c, int c_stride, const float* c_scale, int c_scale_step, float* state,
                             int state_stride, int rounding, const float* state_scale, float* out, int out_stride,
                             int heads, int state_dim, float dt_min, float dt_max) {
  scan_channels<CHANNELS_STATES, signed char, float>(row_of(slots, starts, positions),
                                                     {a, dt_bias, skip, heads, state_dim},
                                                     {{x, x_stride, x_scale, x_scale_step}, {dt, dt_stride},
                                                     {b, b_stride, b_scale, b_scale_step},
                                                     {c, c_stride, c_scale, c_scale_step}}, state, state_stride,
                                                     {rounding, state_scale}, out, out_stride, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_channels_i8_i8_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                            const float* dt_bias, const float* skip, const signed char* x, int x_stride,
                            const float* x_scale, int x_scale_step, const signed char* dt, int dt_stride,
                            const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                            const float* b_scale, int b_scale_step, const signed char* c, int c_stride,
                            const float* c_scale, int c_scale_step, float* state, int state_stride, int rounding,
                            const float* state_scale, float* out, int out_stride, int heads, int state_dim,
                            float dt_min, float dt_max) {
  scan_channels<CHANNELS_STATES, signed char, signed char>(row_of(slots, starts, positions),
                                                           {a, dt_bias, skip, heads, state_dim},
                                                           {{x, x_stride, x_scale, x_scale_step},
                                                           {dt, dt_stride, dt_scale, dt_scale_step},
                                                           {b, b_stride, b_scale, b_scale_step},
                                                           {c, c_stride, c_scale, c_scale_step}}, state, state_stride,
                                                           {rounding, state_scale}, out, out_stride, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_channels_wide_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                               const float* dt_bias, const float* skip, const float* x, int x_stride, const float* dt,
                               int dt_stride, const float* b, int b_stride, const float* c, int c_stride, float* state,
                               int state_stride, int rounding, const float* state_scale, float* out, int out_stride,
                               int heads, int state_dim, float dt_min, float dt_max) {
  scan_channels<CHANNELS_WIDE_STATES, float, float>(row_of(slots, starts, positions),
                                                    {a, dt_bias, skip, heads, state_dim}, {{x, x_stride},
                                                    {dt, dt_stride}, {b, b_stride}, {c, c_stride}}, state, state_stride,
                                                    {rounding, state_scale}, out, out_stride, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_channels_wide_i8_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                                  const float* dt_bias, const float* skip, const signed char* x, int x_stride,
                                  const float* x_scale, int x_scale_step, const float* dt, int dt_stride,
                                  const signed char* b, int b_stride, const float* b_scale, int b_scale_step,
                                  const signed char* c, int c_stride, const float* c_scale, int c_scale_step,
                                  float* state, int state_stride, int rounding, const float* state_scale, float* out,
                                  int out_stride, int heads, int state_dim, float dt_min, float dt_max) {
  scan_channels<CHANNELS_WIDE_STATES, signed char, float>(row_of(slots, starts, positions),
                                                          {a, dt_bias, skip, heads, state_dim},
                                                          {{x, x_stride, x_scale, x_scale_step}, {dt, dt_stride},
                                                          {b, b_stride, b_scale, b_scale_step},
                                                          {c, c_stride, c_scale, c_scale_step}}, state, state_stride,
                                                          {rounding, state_scale}, out, out_stride, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_channels_wide_i8_i8_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                                 const float* dt_bias, const float* skip, const signed char* x, int x_stride,
                                 const float* x_scale, int x_scale_step, const signed char* dt, int dt_stride,
                                 const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                                 const float* b_scale, int b_scale_step, const signed char* c, int c_stride,
                                 const float* c_scale, int c_scale_step, float* state, int state_stride, int rounding,
                                 const float* state_scale, float* out, int out_stride, int heads, int state_dim,
                                 float dt_min, float dt_max) {
  scan_channels<CHANNELS_WIDE_STATES, signed char, signed char>(row_of(slots, starts, positions),
                                                                {a, dt_bias, skip, heads, state_dim},
                                                                {{x, x_stride, x_scale, x_scale_step},
                                                                {dt, dt_stride, dt_scale, dt_scale_step},
                                                                {b, b_stride, b_scale, b_scale_step},
                                                                {c, c_stride, c_scale, c_scale_step}}, state,
                                                                state_stride, {rounding, state_scale}, out, out_stride,
                                                                dt_min, dt_max);
}
