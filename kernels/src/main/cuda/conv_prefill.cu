// conv_prefill: the convolution of conv.cu for 4 taps and rows of many tokens
//
//   slots, positions  (rows)      i32
//   starts            (rows + 1)  i32, row r has the tokens starts[r] ... starts[r + 1] - 1
//   weight            (channels, 4) f32
//   bias              (channels)  f32
//   x                 (tokens, channels) f32, or codes with scales
//   state             (slots, 3, channels) of x's dtype, oldest first, updated; codes as they are in x
//   out               (tokens, channels) f32, or codes with scales of their own, ties away from zero; may be x
//
// Entry points, at the end: conv_prefill_f32_f32_f32, conv_prefill_i8_i8_i8. A block has lanes fours of channels of one
// row, which no other block reads or writes, and walks over its tokens in tiles of THREADS / lanes stretches of RUN
// tokens, a thread one stretch of four channels. A tile is read, with the three inputs before each stretch, then there
// is a barrier, then it is written: in place is safe. Few lanes give more blocks, each with fewer tiles; many lanes read
// longer pieces of memory.
#include "conv.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;
constexpr int LANES = 16;  // the most

template <bool ALIGNED, int RUN, typename T>
struct Walk {
  static constexpr int INPUTS = BEFORE + RUN;

  const Conv<T>& conv;
  int channel;
  int end;  // of the row's tokens

  // The inputs of a stretch from this token on; the three before only where they are of its tile.
  __device__ void read(int token, bool first, Four<T> (&inputs)[INPUTS]) const {
#pragma unroll
    for (int i = 0; i < INPUTS; i++) {
      inputs[i] = {};
      const int own = token - BEFORE + i;
      if (own < end && (i >= BEFORE || !first) && channel < conv.channels) {
        inputs[i] = conv.template input<ALIGNED>(own, channel);
      }
    }
  }

  // Results of a stretch, and the state behind the row's last token.
  __device__ void write(int token, int slot, const Channels<T>& own, const Four<T> (&inputs)[INPUTS]) const {
    Inputs values[INPUTS];
#pragma unroll
    for (int i = 0; i < BEFORE; i++) values[i] = own.values(inputs[i]);
#pragma unroll
    for (int i = 0; i < RUN; i++) {
      values[i + BEFORE] = own.values(inputs[i + BEFORE]);
      const Four<T> result = own.result(values[i], values[i + 1], values[i + 2], values[i + 3]);
      if (token + i < end) conv.template put<ALIGNED>(token + i, channel, result);
      if (token + i == end - 1) {
#pragma unroll
        for (int k = 0; k < BEFORE; k++) {
          inputs[i + 1 + k].template write<ALIGNED>(conv.before(slot, k, channel), conv.channels - channel);
        }
      }
    }
  }
};

template <bool ALIGNED, int RUN, typename T>
__device__ void prefill(const int* slots, const int* starts, const int* positions, const Conv<T>& conv, int lanes) {
  __shared__ Four<T> before_sh[2][BEFORE][LANES];  // of this tile and the next
  const int row = blockIdx.y;
  const int slot = slots[row];
  const int stretches = THREADS / lanes;
  const int length = stretches * RUN;  // of a tile
  const int stretch = threadIdx.x / lanes;
  const int lane = threadIdx.x - stretch * lanes;
  const bool first = stretch == 0;
  const int channel = (blockIdx.x * lanes + lane) * FOUR;
  using W = Walk<ALIGNED, RUN, T>;
  const W walk = {conv, channel, starts[row + 1]};
  int tile = starts[row];
  Four<T> inputs[W::INPUTS];
  Four<T> next[W::INPUTS];
  walk.read(tile + stretch * RUN, first, next);
  if (first) {
#pragma unroll
    for (int k = 0; k < BEFORE; k++) {
      before_sh[0][k][lane] = {};
      if (positions[row] > 0 && channel < conv.channels) {
        before_sh[0][k][lane] =
            Four<T>::template read<ALIGNED>(conv.before(slot, k, channel), conv.channels - channel);
      }
    }
  }
  const Channels<T> own = Channels<T>::template read<ALIGNED>(conv, min(channel, conv.channels - 1) / FOUR * FOUR);
  for (int side = 0; tile < walk.end; tile += length, side ^= 1) {
#pragma unroll
    for (int i = 0; i < W::INPUTS; i++) inputs[i] = next[i];
#pragma unroll
    for (int k = 0; k < BEFORE; k++) {
      if (first) inputs[k] = before_sh[side][k][lane];
      if (stretch == stretches - 1) before_sh[side ^ 1][k][lane] = inputs[RUN + k];
    }
    __syncthreads();  // inputs are read, of every thread, and those before the next tile are known
    const int token = tile + stretch * RUN;
    if (tile + length < walk.end) walk.read(token + length, first, next);
    if (token < walk.end && channel < conv.channels) walk.write(token, slot, own, inputs);
  }
}

// ---------------------------------------------------------------- entry points

// Grid (ceil(channels / (lanes * FOUR)), rows).

extern "C" __global__ void __launch_bounds__(THREADS, 4)
conv_prefill_f32_f32_f32(const int* slots, const int* starts, const int* positions, const float* weight,
                         const float* bias, const float* x, int x_stride, float* state, int state_stride, float* out,
                         int out_stride, int channels, int lanes) {
  const Conv<float> conv = {weight, bias, {x, x_stride}, state, state_stride, {out, out_stride}, channels};
  if (conv.in_fours_all()) {
    prefill<true, 4>(slots, starts, positions, conv, lanes);
  } else {
    prefill<false, 4>(slots, starts, positions, conv, lanes);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 5)
conv_prefill_i8_i8_i8(const int* slots, const int* starts, const int* positions, const float* weight,
                      const float* bias, const signed char* x, int x_stride, const float* x_scale, int x_scale_step,
                      signed char* state, int state_stride, signed char* out, int out_stride, const float* out_scale,
                      int out_scale_step, int channels, int lanes) {
  const Conv<signed char> conv = {weight,
                                  bias,
                                  {x, x_stride, x_scale, x_scale_step},
                                  state,
                                  state_stride,
                                  {out, out_stride, out_scale, out_scale_step},
                                  channels};
  if (conv.in_fours_all()) {
    prefill<true, 8>(slots, starts, positions, conv, lanes);
  } else {
    prefill<false, 8>(slots, starts, positions, conv, lanes);
  }
}
