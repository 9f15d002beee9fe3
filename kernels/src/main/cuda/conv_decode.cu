// conv_decode: the convolution of conv.cu for 4 taps and rows of one token, row r being token r
//
//   slots, positions  (rows)     i32
//   weight            (channels, 4) f32
//   bias              (channels) f32
//   x                 (rows, channels) f32, or codes with scales
//   state             (slots, 3, channels) of x's dtype, oldest first, updated; codes as they are in x
//   out               (rows, channels) f32, or codes with scales of their own, ties away from zero; may be x
//
// Entry points, at the end: conv_decode_f32_f32_f32, conv_decode_i8_i8_i8. A thread has four channels of every
// gridDim.y-th row, AT_ONCE of them at once.
#include "conv.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 64;

template <bool ALIGNED, int AT_ONCE, typename T>
__device__ void decode(const int* slots, const int* positions, const Conv<T>& conv, int rows) {
  const int channel = (blockIdx.x * THREADS + threadIdx.x) * FOUR;
  const int count = conv.channels - channel;
  begin_next();
  if (count <= 0) return;
  const Channels<T> own = Channels<T>::template read<ALIGNED>(conv, channel);
  await_before();
  for (int first = blockIdx.y; first < rows; first += gridDim.y * AT_ONCE) {
    int slot[AT_ONCE];
    bool fresh[AT_ONCE];
    Four<T> newest[AT_ONCE];
    Four<T> before[AT_ONCE][BEFORE];
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      const int row = first + i * gridDim.y;
      slot[i] = row < rows ? slots[row] : 0;
      fresh[i] = row >= rows || positions[row] == 0;
      newest[i] = {};
      if (row < rows) newest[i] = conv.template input<ALIGNED>(row, channel);
    }
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
#pragma unroll
      for (int k = 0; k < BEFORE; k++) {
        before[i][k] = {};
        if (!fresh[i]) {
          before[i][k] = Four<T>::template read<ALIGNED>(conv.before(slot[i], k, channel), count);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      const int row = first + i * gridDim.y;
      if (row < rows) {
        before[i][1].template write<ALIGNED>(conv.before(slot[i], 0, channel), count);
        before[i][2].template write<ALIGNED>(conv.before(slot[i], 1, channel), count);
        newest[i].template write<ALIGNED>(conv.before(slot[i], 2, channel), count);
        conv.template put<ALIGNED>(row, channel,
                                   own.result(own.values(before[i][0]), own.values(before[i][1]),
                                              own.values(before[i][2]), own.values(newest[i])));
      }
    }
  }
}

// ---------------------------------------------------------------- entry points

// Grid (ceil(channels / (THREADS * FOUR)), from 1 to rows).

extern "C" __global__ void __launch_bounds__(THREADS)
conv_decode_f32_f32_f32(const int* slots, const int* positions, const float* weight, const float* bias, const float* x,
                        int x_stride, float* state, int state_stride, float* out, int out_stride, int channels,
                        int rows) {
  const Conv<float> conv = {weight, bias, {x, x_stride}, state, state_stride, {out, out_stride}, channels};
  if (conv.in_fours_all()) {
    decode<true, 2>(slots, positions, conv, rows);
  } else {
    decode<false, 1>(slots, positions, conv, rows);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
conv_decode_i8_i8_i8(const int* slots, const int* positions, const float* weight, const float* bias,
                     const signed char* x, int x_stride, const float* x_scale, int x_scale_step, signed char* state,
                     int state_stride, signed char* out, int out_stride, const float* out_scale, int out_scale_step,
                     int channels, int rows) {
  const Conv<signed char> conv = {weight,
                                  bias,
                                  {x, x_stride, x_scale, x_scale_step},
                                  state,
                                  state_stride,
                                  {out, out_stride, out_scale, out_scale_step},
                                  channels};
  if (conv.in_fours_all()) {
    decode<true, 4>(slots, positions, conv, rows);
  } else {
    decode<false, 1>(slots, positions, conv, rows);
  }
}
