// conv: depthwise causal convolution over each row's tokens, then SiLU
//
//   out_t = silu(bias + sum_k weight[k] * x_{t - conv_width + 1 + k})
//
//   slots, positions  (rows)      i32
//   starts            (rows + 1)  i32, row r has the tokens starts[r] ... starts[r + 1] - 1
//   weight            (channels, conv_width) f32
//   bias              (channels)  f32
//   x                 (tokens, channels) f32, or codes with scales
//   state             (slots, conv_width - 1, channels) of x's dtype, oldest first, updated; codes as they are in x
//   out               (tokens, channels) f32, or codes with scales of their own, ties away from zero; may be x
//
// Entry points, at the end: conv_f32_f32_f32, conv_i8_i8_i8, for conv_width up to 8; 4 has faster ones in conv_decode.cu
// and conv_prefill.cu. A thread walks over the tokens of one channel of one row with its last inputs in registers: in
// place is safe, and any cut of the tokens takes the same sums.
#include "codes.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;
constexpr int CONV_WIDEST = 8;  // also in CudaConv

// window and taps end at CONV_WIDEST - 1; what lies before CONV_WIDEST - conv_width is not used.
template <typename T>
__device__ void conv_channel(int slot, int first, int end, int position, const float* weight, float bias, Values<T> x,
                             T* state, int state_stride, Results<T> out, int channels, int channel, int conv_width) {
  const int unused = CONV_WIDEST - conv_width;
  const float unit = x.unit(channel);
  T* history = state + static_cast<size_t>(slot) * state_stride + channel;
  float taps[CONV_WIDEST];
  typename Values<T>::Raw window[CONV_WIDEST];
#pragma unroll
  for (int k = 0; k < CONV_WIDEST; k++) {
    const bool used = k >= unused;
    taps[k] = used ? weight[static_cast<size_t>(channel) * conv_width + k - unused] : 0;
    // The place of the newest input comes last: the loop over tokens shifts it in.
    const bool known = used && k < CONV_WIDEST - 1 && position > 0;
    window[k] = known ? history[static_cast<size_t>(k - unused) * channels] : 0;
  }
  for (int token = first; token < end; token++) {
    window[CONV_WIDEST - 1] = x.raw(token, channel);
    float sum = bias;
#pragma unroll
    for (int k = 0; k < CONV_WIDEST; k++) {
      if (k >= unused) sum = fmaf(taps[k], Values<T>::widen(window[k], unit), sum);
    }
    out.put_away(token, channel, silu(sum));
#pragma unroll
    for (int k = 0; k < CONV_WIDEST - 1; k++) window[k] = window[k + 1];
  }
#pragma unroll
  for (int k = 0; k < CONV_WIDEST - 1; k++) {
    // After the last shift the inputs lie one place lower: window[CONV_WIDEST - 2] is the newest.
    if (k >= unused) history[static_cast<size_t>(k - unused) * channels] = static_cast<T>(window[k]);
  }
}

// ---------------------------------------------------------------- entry points

// Grid (rows, ceil(channels / THREADS)).

extern "C" __global__ void __launch_bounds__(THREADS)
conv_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* weight, const float* bias,
                 const float* x, int x_stride, float* state, int state_stride, float* out, int out_stride,
                 int channels, int conv_width) {
  const int row = blockIdx.x;
  const int channel = blockIdx.y * THREADS + threadIdx.x;
  if (channel >= channels) return;
  conv_channel<float>(slots[row], starts[row], starts[row + 1], positions[row], weight, bias[channel], {x, x_stride},
                      state, state_stride, {out, out_stride}, channels, channel, conv_width);
}

extern "C" __global__ void __launch_bounds__(THREADS)
conv_i8_i8_i8(const int* slots, const int* starts, const int* positions, const float* weight, const float* bias,
              const signed char* x, int x_stride, const float* x_scale, int x_scale_step, signed char* state,
              int state_stride, signed char* out, int out_stride, const float* out_scale, int out_scale_step,
              int channels, int conv_width) {
  const int row = blockIdx.x;
  const int channel = blockIdx.y * THREADS + threadIdx.x;
  if (channel >= channels) return;
  conv_channel<signed char>(slots[row], starts[row], starts[row + 1], positions[row], weight, bias[channel],
                            {x, x_stride, x_scale, x_scale_step}, state, state_stride,
                            {out, out_stride, out_scale, out_scale_step}, channels, channel, conv_width);
}
