// scan: Mamba2 with head_dim 64, state_dim 128 and a state in f32, one token of each row or many
//
//   y_t = S_t C_t + skip x_t,  S_t = exp(dt a) S_{t-1} + dt x_t (x) B_t        per head, as in scan.cu
//
//   slots, positions  (rows)      i32
//   starts            (rows + 1)  i32, row r has the tokens starts[r] ... starts[r + 1] - 1
//   a, dt_bias, skip  (heads)     f32
//   x                 (tokens, heads * 64) f32, or codes with scales
//   dt                (tokens, heads) f32 if dt_scale is null, else codes; f32 where x is
//   b, c              (tokens, groups * 128) as x
//   state             (slots, heads, 64, 128) f32, updated
//   out               (tokens, heads * 64) f32; may be x
//   aligned           whether b and c begin at, and have strides of, multiples of four elements
//
// Entry points, at the end: scan_decode_f32_f32_f32 and scan_decode_i8_f32_f32, the first of f32 inputs. Grid
// (heads, rows): a warp has 8 channels, a lane 4 neighbouring states of each in registers for all tokens.
#include "scan_ring.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int CHANNELS = 8;      // of a warp
constexpr int STATES = STATE_DIM / WARP;
static_assert(THREADS / WARP * CHANNELS == HEAD_DIM, "a block has a head");

template <bool ALIGNED>
__device__ float4 four(const float* from, const float*, int) {
  return load_numbers<ALIGNED>(from);
}

template <bool ALIGNED>
__device__ float4 four(const signed char* from, const float* scale, int step) {
  float value[4];
  if (ALIGNED) {
    widen(*reinterpret_cast<const unsigned*>(from), value);
  } else {
    value[0] = from[0], value[1] = from[1], value[2] = from[2], value[3] = from[3];
  }
  return {value[0] * scale[0], value[1] * scale[step], value[2] * scale[2 * step], value[3] * scale[3 * step]};
}

inline __device__ float one(const float* from, const float*) { return *from; }
inline __device__ float one(const signed char* from, const float* scale) { return *from * *scale; }

// Sums over all lanes of eight values at once: lane l gets that of value l % 8.
inline __device__ float transposed_warp_sum(float (&value)[CHANNELS]) {
  float sum = transposed_sum(value);
  sum += __shfl_xor_sync(ALL_LANES, sum, WARP / 4);
  return sum + __shfl_xor_sync(ALL_LANES, sum, WARP / 2);
}

template <class Element, bool ALIGNED>
__device__ void scan_head(const int* slots, const int* starts, const int* positions, const Heads& heads,
                          const Inputs<Element>& in, float* state, int state_stride, float* out, int out_stride) {
  const int row = blockIdx.y;
  const int head = blockIdx.x;
  const int lane = threadIdx.x % WARP;
  const int first = head * HEAD_DIM + threadIdx.x / WARP * CHANNELS;  // column of x
  float* own = state + static_cast<size_t>(slots[row]) * state_stride + static_cast<size_t>(first) * STATE_DIM +
               lane * STATES;
  float4 s[CHANNELS];
  const bool fresh = positions[row] == 0;
#pragma unroll
  for (int channel = 0; channel < CHANNELS; channel++) {
    s[channel] = {0, 0, 0, 0};
    if (!fresh) s[channel] = *reinterpret_cast<const float4*>(own + channel * STATE_DIM);
  }
  const float a = heads.a[head];
  const float skip = heads.skip[head];
  const int column = head / heads.per_group * STATE_DIM + lane * STATES;  // of b and c
  const float* b_scale = in.b_scale + column * in.b_scale_step;
  const float* c_scale = in.c_scale + column * in.c_scale_step;
  const int own_column = first + lane % CHANNELS;
  const int end = starts[row + 1];
  for (int token = starts[row]; token < end; token++) {
    const float4 b = four<ALIGNED>(in.b + static_cast<size_t>(token) * in.b_stride + column, b_scale, in.b_scale_step);
    const float4 c = four<ALIGNED>(in.c + static_cast<size_t>(token) * in.c_stride + column, c_scale, in.c_scale_step);
    const float own_x = one(in.x + static_cast<size_t>(token) * in.x_stride + own_column,
                            in.x_scale + own_column * in.x_scale_step);
    const float dt = heads.step(in, token, head);
    const float decay = expf(dt * a);
    float y[CHANNELS];
#pragma unroll
    for (int channel = 0; channel < CHANNELS; channel++) {
      const float scaled = __shfl_sync(ALL_LANES, own_x, channel) * dt;
      float4& held = s[channel];
      held.x = fmaf(scaled, b.x, held.x * decay);
      held.y = fmaf(scaled, b.y, held.y * decay);
      held.z = fmaf(scaled, b.z, held.z * decay);
      held.w = fmaf(scaled, b.w, held.w * decay);
      y[channel] = fmaf(held.w, c.w, fmaf(held.z, c.z, fmaf(held.y, c.y, held.x * c.x)));
    }
    const float sum = transposed_warp_sum(y);
    if (lane < CHANNELS) out[static_cast<size_t>(token) * out_stride + own_column] = fmaf(own_x, skip, sum);
  }
#pragma unroll
  for (int channel = 0; channel < CHANNELS; channel++) {
    *reinterpret_cast<float4*>(own + channel * STATE_DIM) = s[channel];
  }
}

template <class Element>
__device__ void scan_heads(const int* slots, const int* starts, const int* positions, const Heads& heads,
                           const Inputs<Element>& in, float* state, int state_stride, float* out, int out_stride,
                           int aligned) {
  if (aligned) {
    scan_head<Element, true>(slots, starts, positions, heads, in, state, state_stride, out, out_stride);
  } else {
    scan_head<Element, false>(slots, starts, positions, heads, in, state, state_stride, out, out_stride);
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* a, const float* dt_bias,
                        const float* skip, const float* x, int x_stride, const float* dt, int dt_stride, const float* b,
                        int b_stride, const float* c, int c_stride, float* state, int state_stride, float* out,
                        int out_stride, int heads, int heads_per_group, int aligned, float dt_min, float dt_max) {
  scan_heads<float>(
      slots, starts, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, out, out_stride, aligned);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_i8_f32_f32(const int* slots, const int* starts, const int* positions, const float* a, const float* dt_bias,
                       const float* skip, const signed char* x, int x_stride, const float* x_scale, int x_scale_step,
                       const void* dt, int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b,
                       int b_stride, const float* b_scale, int b_scale_step, const signed char* c, int c_stride,
                       const float* c_scale, int c_scale_step, float* state, int state_stride, float* out,
                       int out_stride, int heads, int heads_per_group, int aligned, float dt_min, float dt_max) {
  scan_heads<signed char>(
      slots, starts, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, out, out_stride, aligned);
}
