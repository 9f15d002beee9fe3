// conv: depthwise causal convolution over each row's tokens, then SiLU
//
//   out_t = silu(bias + sum_k weight[k] * x_{t - conv_width + 1 + k})
//
//   slots, positions  (rows)      i32
//   starts            (rows + 1)  i32, row r has the tokens starts[r] ... starts[r + 1] - 1
//   weight            (channels, conv_width) f32
//   bias              (channels)  f32
//   x                 (tokens, channels) f32
//   state             (slots, conv_width - 1, channels) f32, oldest first, updated
//   out               (tokens, channels) f32; may be x
//
// Entry point, at the end: conv_f32_f32_f32, for conv_width up to 8. A thread walks over the tokens of one channel of
// one row with its last inputs in registers: in place is safe, and any cut of the tokens takes the same sums.
#include "device.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;
constexpr int CONV_WIDEST = 8;  // also in CudaBackend

// window and taps end at CONV_WIDEST - 1; what lies before CONV_WIDEST - conv_width is not used.
inline __device__ void conv_channel(int slot, int first, int end, int position, const float* weight, float bias,
                                    const float* x, int x_stride, float* state, int state_stride, float* out,
                                    int out_stride, int channels, int channel, int conv_width) {
  const int unused = CONV_WIDEST - conv_width;
  float* history = state + static_cast<size_t>(slot) * state_stride + channel;
  float taps[CONV_WIDEST];
  float window[CONV_WIDEST];
#pragma unroll
  for (int k = 0; k < CONV_WIDEST; k++) {
    const bool used = k >= unused;
    taps[k] = used ? weight[static_cast<size_t>(channel) * conv_width + k - unused] : 0;
    // The place of the newest input comes last: the loop over tokens shifts it in.
    const bool known = used && k < CONV_WIDEST - 1 && position > 0;
    window[k] = known ? history[static_cast<size_t>(k - unused) * channels] : 0;
  }
  for (int token = first; token < end; token++) {
    window[CONV_WIDEST - 1] = x[static_cast<size_t>(token) * x_stride + channel];
    float sum = bias;
#pragma unroll
    for (int k = 0; k < CONV_WIDEST; k++) {
      if (k >= unused) sum = fmaf(taps[k], window[k], sum);
    }
    out[static_cast<size_t>(token) * out_stride + channel] = silu(sum);
#pragma unroll
    for (int k = 0; k < CONV_WIDEST - 1; k++) window[k] = window[k + 1];
  }
#pragma unroll
  for (int k = 0; k < CONV_WIDEST - 1; k++) {
    // After the last shift the inputs lie one place lower: window[CONV_WIDEST - 2] is the newest.
    if (k >= unused) history[static_cast<size_t>(k - unused) * channels] = window[k];
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS)
conv_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* weight, const float* bias,
                 const float* x, int x_stride, float* state, int state_stride, float* out, int out_stride,
                 int channels, int conv_width) {
  const int row = blockIdx.x;
  const int channel = blockIdx.y * THREADS + threadIdx.x;
  if (channel >= channels) return;
  conv_channel(slots[row], starts[row], starts[row + 1], positions[row], weight, bias[channel], x, x_stride, state,
               state_stride, out, out_stride, channels, channel, conv_width);
}
