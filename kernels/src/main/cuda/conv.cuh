// What is common to convolutions of 4 taps. Holds no entry point.
//
// A thread has four channels. A channel's sum is taken as in conv.cu, bias first, then the oldest input: decode, prefill
// and any cut of the tokens give the same bits.
#pragma once
#include "fours.cuh"

constexpr int TAPS = 4;
constexpr int BEFORE = TAPS - 1;  // inputs of the state

// The arguments of a convolution, the same for every row.
template <typename T>
struct Conv {
  const float* weight;
  const float* bias;
  Values<T> x;
  T* state;
  int state_stride;
  Results<T> out;
  int channels;

  __device__ bool in_fours_all() const {
    return in_fours(weight, 0) && in_fours(bias, channels) && in_fours(x) &&
           in_fours(state, state_stride) && in_fours(out);
  }
  template <bool ALIGNED>
  __device__ Four<T> input(int token, int channel) const {
    return Four<T>::template read<ALIGNED>(x.at + static_cast<size_t>(token) * x.stride + channel, channels - channel);
  }
  // Where the state's input of these channels lies, oldest first.
  __device__ T* before(int slot, int k, int channel) const {
    return state + static_cast<size_t>(slot) * state_stride + static_cast<size_t>(k) * channels + channel;
  }
  template <bool ALIGNED>
  __device__ void put(int token, int channel, const Four<T>& result) const {
    result.template write<ALIGNED>(out.at + static_cast<size_t>(token) * out.stride + channel, channels - channel);
  }
};

// Four values of one token's inputs.
struct Inputs {
  float at[FOUR];
};

// What four channels are multiplied with.
template <typename T>
struct Channels {
  Four<float> taps[FOUR];
  float bias[FOUR];
  Units<T> units;
  Rounding<T> rounding;

  template <bool ALIGNED>
  static __device__ Channels read(const Conv<T>& conv, int channel) {
    const int count = conv.channels - channel;
    Channels own = {{}, {}, Units<T>::template read<ALIGNED>(conv.x, channel, count),
                    Rounding<T>::template read<ALIGNED>(conv.out, channel, count)};
#pragma unroll
    for (int k = 0; k < FOUR; k++) {
      if (k < count) {
        own.taps[k] = Four<float>::read<ALIGNED>(conv.weight + static_cast<size_t>(channel + k) * TAPS, TAPS);
        own.bias[k] = conv.bias[channel + k];
      }
    }
    return own;
  }

  __device__ Inputs values(const Four<T>& raw) const {
    Inputs inputs;
#pragma unroll
    for (int k = 0; k < FOUR; k++) inputs.at[k] = units.value(raw, k);
    return inputs;
  }

  // The result of a token, of its input and the three before, oldest first.
  __device__ Four<T> result(const Inputs& a, const Inputs& b, const Inputs& c, const Inputs& d) const {
    float out[FOUR];
#pragma unroll
    for (int k = 0; k < FOUR; k++) {
      float sum = fmaf(taps[k].raw(0), a.at[k], bias[k]);
      sum = fmaf(taps[k].raw(1), b.at[k], sum);
      sum = fmaf(taps[k].raw(2), c.at[k], sum);
      out[k] = silu(fmaf(taps[k].raw(3), d.at[k], sum));
    }
    return rounding.away(out);
  }
};
