// scan: the selective state-space recurrence over each row's tokens (Mamba: arXiv 2312.00752, Mamba2: 2405.21060)
//
//   dt  = clamp(softplus(dt + dt_bias[h]), dt_min, dt_max)
//   S_t = exp(dt * a[h]) S_{t-1} + dt * x_t (x) B_t[g]        per head h, g = h / (heads / groups)
//   y_t = S_t C_t[g] + skip[h] * x_t
//
// This file: Mamba2, with one a for all states of a head. Mamba1 is scan_channels.cu; scan.cuh tells how states are
// rounded. For head_dim 64 and state_dim 128, sm_90a has scan_decode.cu, scan_chunk.cu and scan_decode_f32.cu instead.
//
//   slots, positions  (rows)      i32
//   starts            (rows + 1)  i32, row r has the tokens starts[r] ... starts[r + 1] - 1
//   a, dt_bias, skip  (heads)     f32
//   x                 (tokens, heads * head_dim) f32, or codes with scales
//   dt                (tokens, heads) f32, or where x is codes also codes with scales
//   b, c              (tokens, groups * state_dim) as x
//   state             (slots, heads, head_dim, state_dim) f32, updated
//   state_scale       (heads, head_dim, state_dim) f32, read only for ROUND_STATIC_SCALED
//   out               (tokens, heads * head_dim) f32; may be x
//
// Entry points, at the end, dtypes of x, dt where x is codes, state and out; for state_dim up to 128, wide up to 256:
//   scan_heads_f32_f32_f32      scan_heads_wide_f32_f32_f32
//   scan_heads_i8_f32_f32_f32   scan_heads_wide_i8_f32_f32_f32
//   scan_heads_i8_i8_f32_f32    scan_heads_wide_i8_i8_f32_f32
//
// One loop over tokens serves one token and many alike, with the state in registers throughout: any cut of a row's
// tokens into calls computes the same bits.
#include "scan.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;
constexpr int CHANNELS = 4;  // of a warp; b and c are read once for all of them

// The most states of each form. These and BLOCK_CHANNELS also stand in CudaScan.
constexpr int HEADS_STATES = 128;
constexpr int HEADS_WIDE_STATES = 256;
constexpr int BLOCK_CHANNELS = 16;  // of a block
static_assert(BLOCK_CHANNELS == THREADS / WARP * CHANNELS, "a block's warps share its channels");

// What a model is made of, the same for all rows.
struct Head {
  float a;
  float dt_bias;
  float skip;
  int group;
  int head_dim;
  int state_dim;
};

// Rounds one channel, whose states lie in the lanes of a warp; what lies behind state_dim is 0 and stays so.
template <int STATES>
__device__ void round_channel(float (&s)[STATES], int form, const float* scale, int lane, int state_dim) {
  if (form == ROUND_HALF) {
#pragma unroll
    for (int j = 0; j < STATES; j++) s[j] = half_rounded(s[j]);
  } else if (form == ROUND_ROW_SCALED) {
    float most = 0;
#pragma unroll
    for (int j = 0; j < STATES; j++) most = fmaxf(most, fabsf(s[j]));
    const float own_scale = row_scale(warp_most(most));
#pragma unroll
    for (int j = 0; j < STATES; j++) s[j] = row_rounded(s[j], own_scale);
  } else {
#pragma unroll
    for (int j = 0; j < STATES; j++) {
      const int n = lane + j * WARP;
      if (n < state_dim) s[j] = scaled_rounded(s[j], scale[n]);
    }
  }
}

// A warp holds CHANNELS channels of a head: lane l has their states l, l + 32, ...; STATES of them a channel.
// Grid (rows, heads, ceil(head_dim / BLOCK_CHANNELS)). y sums a lane's states first, then the lanes.
// Loads of state, b and c are coalesced; x and dt are the same for all lanes. dt and decay are computed by every warp
// anew: some forty instructions a token against a hundred for the states.
template <int STATES, typename T, typename D>
__device__ void scan_heads(Row row, Head p, Inputs<T, D> in, float* state, int state_stride, Rounding rounding,
                           float* out, int out_stride, float dt_min, float dt_max) {
  const int head = blockIdx.y;
  const int lane = threadIdx.x % WARP;
  const int first_channel = blockIdx.z * BLOCK_CHANNELS + threadIdx.x / WARP * CHANNELS;
  if (first_channel >= p.head_dim) return;  // whole warps; no barrier follows
  const int column = head * p.head_dim + first_channel;
  const size_t state_at = static_cast<size_t>(column) * p.state_dim;  // in a slot
  float* head_state = state + static_cast<size_t>(row.slot) * state_stride + state_at;
  float s[CHANNELS][STATES];
  float x_unit[CHANNELS];
#pragma unroll
  for (int channel = 0; channel < CHANNELS; channel++) {
    const bool there = first_channel + channel < p.head_dim;
    x_unit[channel] = there ? in.x.unit(column + channel) : 0;
#pragma unroll
    for (int j = 0; j < STATES; j++) {
      const int n = lane + j * WARP;
      const bool held = there && row.position > 0 && n < p.state_dim;
      s[channel][j] = held ? head_state[channel * p.state_dim + n] : 0;
    }
  }
  const float dt_unit = in.dt.unit(head);
  float b_unit[STATES];
  float c_unit[STATES];
#pragma unroll
  for (int j = 0; j < STATES; j++) {
    const int n = lane + j * WARP;
    b_unit[j] = n < p.state_dim ? in.b.unit(p.group * p.state_dim + n) : 0;
    c_unit[j] = n < p.state_dim ? in.c.unit(p.group * p.state_dim + n) : 0;
  }
  // No barrier within: warps of a block run through their tokens on their own.
  for (int token = row.first; token < row.end; token++) {
    const float raw = __fadd_rn(Values<D>::widen(in.dt.raw(token, head), dt_unit), p.dt_bias);
    const float dt = step_size(raw, dt_min, dt_max);
    const float decay = expf(dt * p.a);
    float b[STATES];
    float c[STATES];
#pragma unroll
    for (int j = 0; j < STATES; j++) {
      const int n = lane + j * WARP;
      const bool there = n < p.state_dim;
      b[j] = there ? Values<T>::widen(in.b.raw(token, p.group * p.state_dim + n), b_unit[j]) : 0;
      c[j] = there ? Values<T>::widen(in.c.raw(token, p.group * p.state_dim + n), c_unit[j]) : 0;
    }
    const bool due = rounding.is_due(row, token);  // the same in all lanes
    float* out_wr = out + static_cast<size_t>(token) * out_stride + column;
#pragma unroll
    for (int channel = 0; channel < CHANNELS; channel++) {
      if (first_channel + channel >= p.head_dim) break;  // the same in all lanes
      const float x = Values<T>::widen(in.x.raw(token, column + channel), x_unit[channel]);
      const float scaled = x * dt;
      float y = 0;
#pragma unroll
      for (int j = 0; j < STATES; j++) {
        s[channel][j] = fmaf(scaled, b[j], s[channel][j] * decay);
        y = fmaf(s[channel][j], c[j], y);
      }
      y = warp_sum(y);  // also: every lane has read x before it may be overwritten
      if (lane == 0) out_wr[channel] = fmaf(x, p.skip, y);
      if (due) {
        const float* scale = rounding.scale + state_at + channel * p.state_dim;
        round_channel(s[channel], rounding.form, scale, lane, p.state_dim);
      }
    }
  }
#pragma unroll
  for (int channel = 0; channel < CHANNELS; channel++) {
#pragma unroll
    for (int j = 0; j < STATES; j++) {
      const int n = lane + j * WARP;
      if (n < p.state_dim && first_channel + channel < p.head_dim) {
        head_state[channel * p.state_dim + n] = s[channel][j];
      }
    }
  }
}

// ---------------------------------------------------------------- entry points

// Registers hold CHANNELS * STATES states a lane: real models have state_dim 128, the wide form trades occupancy for
// the rest.

extern "C" __global__ void __launch_bounds__(THREADS)
scan_heads_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a, const float* dt_bias,
                       const float* skip, const float* x, int x_stride, const float* dt, int dt_stride, const float* b,
                       int b_stride, const float* c, int c_stride, float* state, int state_stride, int rounding,
                       const float* state_scale, float* out, int out_stride, int head_dim, int state_dim,
                       int heads_per_group, float dt_min, float dt_max) {
  const int head = blockIdx.y;
  const Head p{a[head], dt_bias[head], skip[head], head / heads_per_group, head_dim, state_dim};
  scan_heads<HEADS_STATES / WARP, float, float>(row_of(slots, starts, positions), p, {{x, x_stride}, {dt, dt_stride},
                                                {b, b_stride}, {c, c_stride}}, state, state_stride,
                                                {rounding, state_scale}, out, out_stride, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_heads_i8_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                          const float* dt_bias, const float* skip, const signed char* x, int x_stride,
                          const float* x_scale, int x_scale_step, const float* dt, int dt_stride, const signed char* b,
                          int b_stride, const float* b_scale, int b_scale_step, const signed char* c, int c_stride,
                          const float* c_scale, int c_scale_step, float* state, int state_stride, int rounding,
                          const float* state_scale, float* out, int out_stride, int head_dim, int state_dim,
                          int heads_per_group, float dt_min, float dt_max) {
  const int head = blockIdx.y;
  const Head p{a[head], dt_bias[head], skip[head], head / heads_per_group, head_dim, state_dim};
  scan_heads<HEADS_STATES / WARP, signed char, float>(row_of(slots, starts, positions), p,
                                                      {{x, x_stride, x_scale, x_scale_step}, {dt, dt_stride},
                                                      {b, b_stride, b_scale, b_scale_step},
                                                      {c, c_stride, c_scale, c_scale_step}}, state, state_stride,
                                                      {rounding, state_scale}, out, out_stride, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_heads_i8_i8_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                         const float* dt_bias, const float* skip, const signed char* x, int x_stride,
                         const float* x_scale, int x_scale_step, const signed char* dt, int dt_stride,
                         const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                         const float* b_scale, int b_scale_step, const signed char* c, int c_stride,
                         const float* c_scale, int c_scale_step, float* state, int state_stride, int rounding,
                         const float* state_scale, float* out, int out_stride, int head_dim, int state_dim,
                         int heads_per_group, float dt_min, float dt_max) {
  const int head = blockIdx.y;
  const Head p{a[head], dt_bias[head], skip[head], head / heads_per_group, head_dim, state_dim};
  scan_heads<HEADS_STATES / WARP, signed char, signed char>(row_of(slots, starts, positions), p,
                                                            {{x, x_stride, x_scale, x_scale_step},
                                                            {dt, dt_stride, dt_scale, dt_scale_step},
                                                            {b, b_stride, b_scale, b_scale_step},
                                                            {c, c_stride, c_scale, c_scale_step}}, state, state_stride,
                                                            {rounding, state_scale}, out, out_stride, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_heads_wide_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                            const float* dt_bias, const float* skip, const float* x, int x_stride, const float* dt,
                            int dt_stride, const float* b, int b_stride, const float* c, int c_stride, float* state,
                            int state_stride, int rounding, const float* state_scale, float* out, int out_stride,
                            int head_dim, int state_dim, int heads_per_group, float dt_min, float dt_max) {
  const int head = blockIdx.y;
  const Head p{a[head], dt_bias[head], skip[head], head / heads_per_group, head_dim, state_dim};
  scan_heads<HEADS_WIDE_STATES / WARP, float, float>(row_of(slots, starts, positions), p, {{x, x_stride},
                                                     {dt, dt_stride}, {b, b_stride}, {c, c_stride}}, state,
                                                     state_stride, {rounding, state_scale}, out, out_stride, dt_min,
                                                     dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_heads_wide_i8_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                               const float* dt_bias, const float* skip, const signed char* x, int x_stride,
                               const float* x_scale, int x_scale_step, const float* dt, int dt_stride,
                               const signed char* b, int b_stride, const float* b_scale, int b_scale_step,
                               const signed char* c, int c_stride, const float* c_scale, int c_scale_step, float* state,
                               int state_stride, int rounding, const float* state_scale, float* out, int out_stride,
                               int head_dim, int state_dim, int heads_per_group, float dt_min, float dt_max) {
  const int head = blockIdx.y;
  const Head p{a[head], dt_bias[head], skip[head], head / heads_per_group, head_dim, state_dim};
  scan_heads<HEADS_WIDE_STATES / WARP, signed char, float>(row_of(slots, starts, positions), p,
                                                           {{x, x_stride, x_scale, x_scale_step}, {dt, dt_stride},
                                                           {b, b_stride, b_scale, b_scale_step},
                                                           {c, c_stride, c_scale, c_scale_step}}, state, state_stride,
                                                           {rounding, state_scale}, out, out_stride, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_heads_wide_i8_i8_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                              const float* dt_bias, const float* skip, const signed char* x, int x_stride,
                              const float* x_scale, int x_scale_step, const signed char* dt, int dt_stride,
                              const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                              const float* b_scale, int b_scale_step, const signed char* c, int c_stride,
                              const float* c_scale, int c_scale_step, float* state, int state_stride, int rounding,
                              const float* state_scale, float* out, int out_stride, int head_dim, int state_dim,
                              int heads_per_group, float dt_min, float dt_max) {
  const int head = blockIdx.y;
  const Head p{a[head], dt_bias[head], skip[head], head / heads_per_group, head_dim, state_dim};
  scan_heads<HEADS_WIDE_STATES / WARP, signed char, signed char>(row_of(slots, starts, positions), p,
                                                                 {{x, x_stride, x_scale, x_scale_step},
                                                                 {dt, dt_stride, dt_scale, dt_scale_step},
                                                                 {b, b_stride, b_scale, b_scale_step},
                                                                 {c, c_stride, c_scale, c_scale_step}}, state,
                                                                 state_stride, {rounding, state_scale}, out, out_stride,
                                                                 dt_min, dt_max);
}
