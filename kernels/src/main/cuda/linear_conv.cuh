// A convolution of 4 taps, then SiLU, over some columns of linear's codes, in place, where every row is the one token
// of a sequence: bit by bit as conv.cu does it for a batch of such rows.
#pragma once
#include "codes.cuh"
#include "linear_out.cuh"

constexpr int TAPS = 4;

struct ConvStep {
  const int* slots;      // (n)
  const int* positions;  // (n)
  const float* weight;   // (channels, TAPS), address a multiple of 16
  const float* bias;     // (channels)
  const float* in_scale;
  int in_scale_step;
  signed char* state;  // (slots, TAPS - 1, channels); address, stride and channels multiples of 4
  int state_stride;
  const float* out_scale;
  int out_scale_step;
  int first;  // column, a multiple of 4
  int channels;

  // The state of a row, oldest first.
  __device__ signed char* history(int row, int channel) const {
    return state + static_cast<size_t>(slots[row]) * state_stride + channel;
  }

  // What a channel's inputs meet.
  struct Channel {
    float4 taps;
    float bias, unit, scale;
  };

  __device__ Channel of(int channel) const {
    return {reinterpret_cast<const float4*>(weight)[channel], bias[channel], in_scale[channel * in_scale_step],
            out_scale[channel * out_scale_step]};
  }

  // The code of a channel's last inputs, the oldest first.
  static __device__ signed char result(const Channel& own, int a, int b, int c, int d) {
    float sum = fmaf(own.taps.x, Values<signed char>::widen(a, own.unit), own.bias);
    sum = fmaf(own.taps.y, Values<signed char>::widen(b, own.unit), sum);
    sum = fmaf(own.taps.z, Values<signed char>::widen(c, own.unit), sum);
    sum = fmaf(own.taps.w, Values<signed char>::widen(d, own.unit), sum);
    return away(silu(sum) / own.scale);
  }

  // All that a step of a row and channel reads but its new input.
  struct Before {
    Channel channel;
    signed char* at;
    signed char a, b, c;
  };

  // But for the state, and that if it is known.
  __device__ Before before(int row, int channel, bool& known) const {
    known = positions[row] > 0;
    return {of(channel), history(row, channel), 0, 0, 0};
  }
  __device__ void read(Before& before) const {
    before.a = before.at[0];
    before.b = before.at[channels];
    before.c = before.at[2 * channels];
  }

  // Of the new input, which the state takes up.
  __device__ signed char step(const Before& before, signed char code) const {
    before.at[0] = before.b;
    before.at[channels] = before.c;
    before.at[2 * channels] = code;
    return result(before.channel, before.a, before.b, before.c, code);
  }
};

// Rows of codes, address and stride multiples of 4, some columns of them convolved.
struct ConvRows {
  CodeRows codes;
  ConvStep conv;

  __device__ bool convolves(int column) const { return column >= conv.first && column - conv.first < conv.channels; }
};

template <>
struct Finish<ConvRows> {
  Finish<CodeRows> codes;
  bool convolves;
  bool known = false;
  ConvStep::Before before;

  __device__ void prepare(const ConvRows& out, int row, int column) {
    codes.prepare(out.codes, row, column);
    convolves = out.convolves(column);
    if (convolves) before = out.conv.before(row, column - out.conv.first, known);
  }
  __device__ void read(const ConvRows& out) {
    if (known) out.conv.read(before);
  }
  __device__ void store(const ConvRows& out, int row, int column, float value) const {
    signed char code = codes.code(value);
    if (convolves) code = out.conv.step(before, code);
    out.codes.at[static_cast<size_t>(row) * out.codes.stride + column] = code;
  }
};

inline __device__ void store(const ConvRows& out, int row, int column, float value) {
  Finish<ConvRows> finish;
  finish.prepare(out, row, column);
  finish.read(out);
  finish.store(out, row, column, value);
}

// Brings a line nearer, for a load that comes later.
inline __device__ void prefetch_line(const void* at) {
  asm volatile("prefetch.global.L2 [%0];" : : "l"(__cvta_generic_to_global(at)));
}
