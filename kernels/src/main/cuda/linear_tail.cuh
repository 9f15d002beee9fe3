// A second product of the same inputs, the tail: packed as the first one, its outputs f32. Its tiles or panels follow
// those of the first: a block works on one or the other.
#pragma once
#include "linear_out.cuh"

struct Tail {
  const signed char* weight;
  const float* row_scale;
  FloatRows out;
  int out_dim;  // 0: there is none
};

// What a block works on.
struct Share {
  const signed char* weight;
  const float* row_scale;
  int out_dim;
  int part;  // tile or panel
  bool in_tail;
};

// The share of the parts, of so many outputs each, that `part` is counted among.
inline __device__ Share share_of(const signed char* weight, const float* row_scale, int out_dim, const Tail& tail,
                                 int part, int outputs) {
  const int parts = (out_dim + outputs - 1) / outputs;
  if (tail.out_dim > 0 && part >= parts) return {tail.weight, tail.row_scale, tail.out_dim, part - parts, true};
  return {weight, row_scale, out_dim, part, false};
}
