// scan: the selective state-space recurrence over each row's tokens (Mamba: arXiv 2312.00752, Mamba2: 2405.21060)
//
//   dt  = clamp(softplus(dt + dt_bias[h]), dt_min, dt_max)
//   S_t = exp(dt * a[h]) S_{t-1} + dt * x_t (x) B_t[g]        per head h, g = h / (heads / groups)
//   y_t = S_t C_t[g] + skip[h] * x_t
//
//   slots, positions  (rows)      i32
//   starts            (rows + 1)  i32, row r has the tokens starts[r] ... starts[r + 1] - 1
//   a                 (heads) for scan_heads, (heads, state_dim) for scan_channels; f32
//   dt_bias, skip     (heads)     f32
//   x, out            (tokens, heads * head_dim) f32; out may be x
//   dt                (tokens, heads) f32
//   b, c              (tokens, groups * state_dim) f32
//   state             (slots, heads, head_dim, state_dim) f32, updated; in scan_channels a slot lies as
//                     (state_dim, heads), so that neighbouring threads read neighbouring elements
//
// Entry points, at the end:
//   scan_heads_f32_f32_f32          Mamba2, state_dim up to 128
//   scan_heads_wide_f32_f32_f32     Mamba2, state_dim up to 256
//   scan_channels_f32_f32_f32       Mamba1, state_dim up to 16
//   scan_channels_wide_f32_f32_f32  Mamba1, state_dim up to 64
//
// One loop over tokens serves one token and many alike, with the state in registers throughout: any cut of a row's
// tokens into calls computes the same bits.
#include "device.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;
constexpr int CHANNELS = 4;  // of a warp in scan_heads; b and c are read once for all of them

// The most states of each form. These and BLOCK_CHANNELS also stand in CudaBackend.
constexpr int HEADS_STATES = 128;
constexpr int HEADS_WIDE_STATES = 256;
constexpr int CHANNELS_STATES = 16;
constexpr int CHANNELS_WIDE_STATES = 64;
constexpr int BLOCK_CHANNELS = 16;  // of a block in scan_heads
static_assert(BLOCK_CHANNELS == THREADS / WARP * CHANNELS, "a block's warps share its channels");

// What both forms read. Strides in elements, from token to token.
struct Inputs {
  const float* x;   // (tokens, heads, head_dim)
  int x_stride;
  const float* dt;  // (tokens, heads), before bias and softplus
  int dt_stride;
  const float* b;   // (tokens, groups, state_dim)
  int b_stride;
  const float* c;   // (tokens, groups, state_dim)
  int c_stride;
};

// The row that a block works on.
struct Row {
  int slot;    // holds its state
  int first;   // token
  int end;     // behind its last token
  bool fresh;  // starts from a zero state, whatever the slot holds
};

inline __device__ Row row_of(const int* slots, const int* starts, const int* positions) {
  const int row = blockIdx.x;
  return {slots[row], starts[row], starts[row + 1], positions[row] == 0};
}

// Limits are (0, infinity) for a model without any; dt is never negative.
inline __device__ float step_size(float raw, float dt_min, float dt_max) {
  return fminf(fmaxf(softplus(raw), dt_min), dt_max);
}

// Mamba2: one a for all states of a head.
//
// A warp holds CHANNELS channels of a head: lane l has their states l, l + 32, ...; STATES of them a channel.
// Grid (rows, heads, ceil(head_dim / BLOCK_CHANNELS)). y sums a lane's states first, then the lanes.
// Loads of state, b and c are 128 bytes a warp; x and dt are the same for all lanes. dt and decay are computed by every
// warp anew: some forty instructions a token against a hundred for the states.
template <int STATES>
__device__ void scan_heads(Row row, float a, float dt_bias, float skip, Inputs in, float* state, int state_stride,
                           float* out, int out_stride, int head_dim, int state_dim, int group, float dt_min,
                           float dt_max) {
  const int head = blockIdx.y;
  const int lane = threadIdx.x % WARP;
  const int first_channel = blockIdx.z * BLOCK_CHANNELS + threadIdx.x / WARP * CHANNELS;
  if (first_channel >= head_dim) return;  // whole warps; no barrier follows
  float* head_state = state + static_cast<size_t>(row.slot) * state_stride +
                      (static_cast<size_t>(head) * head_dim + first_channel) * state_dim;
  float s[CHANNELS][STATES];
#pragma unroll
  for (int channel = 0; channel < CHANNELS; channel++) {
#pragma unroll
    for (int j = 0; j < STATES; j++) {
      const int n = lane + j * WARP;
      const bool held = !row.fresh && n < state_dim && first_channel + channel < head_dim;
      s[channel][j] = held ? head_state[channel * state_dim + n] : 0;
    }
  }
  // No barrier within: warps of a block run through their tokens on their own.
  for (int token = row.first; token < row.end; token++) {
    const float dt = step_size(in.dt[static_cast<size_t>(token) * in.dt_stride + head] + dt_bias, dt_min, dt_max);
    const float decay = expf(dt * a);
    const float* b_rd = in.b + static_cast<size_t>(token) * in.b_stride + group * state_dim;
    const float* c_rd = in.c + static_cast<size_t>(token) * in.c_stride + group * state_dim;
    float b[STATES];
    float c[STATES];
#pragma unroll
    for (int j = 0; j < STATES; j++) {
      const int n = lane + j * WARP;
      b[j] = n < state_dim ? b_rd[n] : 0;
      c[j] = n < state_dim ? c_rd[n] : 0;
    }
    const int column = head * head_dim + first_channel;
    const float* x_rd = in.x + static_cast<size_t>(token) * in.x_stride + column;
    float* out_wr = out + static_cast<size_t>(token) * out_stride + column;
#pragma unroll
    for (int channel = 0; channel < CHANNELS; channel++) {
      if (first_channel + channel >= head_dim) break;  // the same in all lanes
      const float x = x_rd[channel];
      const float scaled = x * dt;
      float y = 0;
#pragma unroll
      for (int j = 0; j < STATES; j++) {
        s[channel][j] = fmaf(scaled, b[j], s[channel][j] * decay);
        y = fmaf(s[channel][j], c[j], y);
      }
      y = warp_sum(y);  // also: every lane has read x before it may be overwritten
      if (lane == 0) out_wr[channel] = fmaf(x, skip, y);
    }
  }
#pragma unroll
  for (int channel = 0; channel < CHANNELS; channel++) {
#pragma unroll
    for (int j = 0; j < STATES; j++) {
      const int n = lane + j * WARP;
      if (n < state_dim && first_channel + channel < head_dim) head_state[channel * state_dim + n] = s[channel][j];
    }
  }
}

// Mamba1: heads of one channel, an a for each state, one group.
//
// A thread holds a channel: its up to STATES states and their a. Grid (rows, ceil(heads / THREADS)). y sums the states
// first to last; b and c are the same for all threads of a block. The exponential of each state is the cost.
template <int STATES>
__device__ void scan_channels(Row row, const float* a, const float* dt_bias, const float* skip, Inputs in,
                              float* state, int state_stride, float* out, int out_stride, int heads, int state_dim,
                              float dt_min, float dt_max) {
  const int head = blockIdx.y * THREADS + threadIdx.x;
  if (head >= heads) return;
  float* own_state = state + static_cast<size_t>(row.slot) * state_stride + head;
  const float own_bias = dt_bias[head];
  const float own_skip = skip[head];
  float own_a[STATES];
  float s[STATES];
#pragma unroll
  for (int n = 0; n < STATES; n++) {
    own_a[n] = n < state_dim ? a[static_cast<size_t>(head) * state_dim + n] : 0;
    s[n] = !row.fresh && n < state_dim ? own_state[static_cast<size_t>(n) * heads] : 0;
  }
  for (int token = row.first; token < row.end; token++) {
    const float dt = step_size(in.dt[static_cast<size_t>(token) * in.dt_stride + head] + own_bias, dt_min, dt_max);
    const float x = in.x[static_cast<size_t>(token) * in.x_stride + head];
    const float* b = in.b + static_cast<size_t>(token) * in.b_stride;
    const float* c = in.c + static_cast<size_t>(token) * in.c_stride;
    const float scaled = x * dt;
    float y = 0;
#pragma unroll
    for (int n = 0; n < STATES; n++) {
      if (n < state_dim) {
        s[n] = fmaf(scaled, b[n], s[n] * expf(dt * own_a[n]));
        y = fmaf(s[n], c[n], y);
      }
    }
    out[static_cast<size_t>(token) * out_stride + head] = fmaf(x, own_skip, y);
  }
#pragma unroll
  for (int n = 0; n < STATES; n++) {
    if (n < state_dim) own_state[static_cast<size_t>(n) * heads] = s[n];
  }
}

// ---------------------------------------------------------------- entry points

// Registers hold CHANNELS * STATES states a lane (scan_heads) or 2 * STATES numbers a thread (scan_channels): real
// models have state_dim 128 (Mamba2) and 16 (Mamba1); the wide forms trade occupancy for the rest.

extern "C" __global__ void __launch_bounds__(THREADS)
scan_heads_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                       const float* dt_bias, const float* skip, const float* x, int x_stride, const float* dt,
                       int dt_stride, const float* b, int b_stride, const float* c, int c_stride, float* state,
                       int state_stride, float* out, int out_stride, int head_dim, int state_dim,
                       int heads_per_group, float dt_min, float dt_max) {
  const int head = blockIdx.y;
  scan_heads<HEADS_STATES / WARP>(row_of(slots, starts, positions), a[head], dt_bias[head], skip[head],
                {x, x_stride, dt, dt_stride, b, b_stride, c, c_stride}, state, state_stride, out, out_stride,
                head_dim, state_dim, head / heads_per_group, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_heads_wide_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                            const float* dt_bias, const float* skip, const float* x, int x_stride, const float* dt,
                            int dt_stride, const float* b, int b_stride, const float* c, int c_stride, float* state,
                            int state_stride, float* out, int out_stride, int head_dim, int state_dim,
                            int heads_per_group, float dt_min, float dt_max) {
  const int head = blockIdx.y;
  scan_heads<HEADS_WIDE_STATES / WARP>(row_of(slots, starts, positions), a[head], dt_bias[head], skip[head],
                {x, x_stride, dt, dt_stride, b, b_stride, c, c_stride}, state, state_stride, out, out_stride,
                head_dim, state_dim, head / heads_per_group, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_channels_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                          const float* dt_bias, const float* skip, const float* x, int x_stride, const float* dt,
                          int dt_stride, const float* b, int b_stride, const float* c, int c_stride, float* state,
                          int state_stride, float* out, int out_stride, int heads, int state_dim, float dt_min,
                          float dt_max) {
  scan_channels<CHANNELS_STATES>(row_of(slots, starts, positions), a, dt_bias, skip,
                    {x, x_stride, dt, dt_stride, b, b_stride, c, c_stride}, state, state_stride, out, out_stride,
                    heads, state_dim, dt_min, dt_max);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_channels_wide_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a,
                               const float* dt_bias, const float* skip, const float* x, int x_stride,
                               const float* dt, int dt_stride, const float* b, int b_stride, const float* c,
                               int c_stride, float* state, int state_stride, float* out, int out_stride, int heads,
                               int state_dim, float dt_min, float dt_max) {
  scan_channels<CHANNELS_WIDE_STATES>(row_of(slots, starts, positions), a, dt_bias, skip,
                    {x, x_stride, dt, dt_stride, b, b_stride, c, c_stride}, state, state_stride, out, out_stride,
                    heads, state_dim, dt_min, dt_max);
}
