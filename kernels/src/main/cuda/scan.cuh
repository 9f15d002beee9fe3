// What both forms of scan share: inputs, rows, step sizes, and the rounding of states.
//
// A state is f32 between calls too, and is rounded in place when a sequence has seen a multiple of INTERVAL tokens,
// counted from its start: what reading a rounded state and replaying the inputs since would give. The y of a token comes
// from the state before that.
#pragma once
#include <cfloat>
#include <cuda_fp16.h>

#include "codes.cuh"

constexpr int INTERVAL = 16;  // also in ScanState

// To what a state is rounded; also in CudaState.
constexpr int ROUND_NEVER = 0;
constexpr int ROUND_HALF = 1;
constexpr int ROUND_ROW_SCALED = 2;
constexpr int ROUND_STATIC_SCALED = 3;

// What both forms read; x, b and c are of type T, dt may be f32 with codes too.
template <typename T, typename D>
struct Inputs {
  Values<T> x;   // (tokens, heads, head_dim)
  Values<D> dt;  // (tokens, heads), before bias and softplus
  Values<T> b;   // (tokens, groups, state_dim)
  Values<T> c;   // (tokens, groups, state_dim)
};

// The row that a block works on.
struct Row {
  int slot;      // holds its state
  int first;     // token
  int end;       // behind its last token
  int position;  // tokens seen before; 0 starts from a zero state, whatever the slot holds
};

inline __device__ Row row_of(const int* slots, const int* starts, const int* positions) {
  const int row = blockIdx.x;
  return {slots[row], starts[row], starts[row + 1], positions[row]};
}

// How a state is rounded, and the scales of ROUND_STATIC_SCALED: (heads, head_dim, state_dim).
struct Rounding {
  int form;
  const float* scale;

  // Whether it is time, behind this token of the row.
  __device__ bool is_due(Row row, int token) const {
    return form != ROUND_NEVER && (row.position + token + 1 - row.first) % INTERVAL == 0;
  }
};

// Limits are (0, infinity) for a model without any; dt is never negative.
inline __device__ float step_size(float raw, float dt_min, float dt_max) {
  return fminf(fmaxf(softplus(raw), dt_min), dt_max);
}

inline __device__ float half_rounded(float s) {
  constexpr float HIGHEST_HALF = 65504;
  const float low = s < -HIGHEST_HALF ? -HIGHEST_HALF : s;
  return __half2float(__float2half_rn(low > HIGHEST_HALF ? HIGHEST_HALF : low));
}

inline __device__ float scaled_rounded(float s, float scale) { return nearest(s / scale) * scale; }

// The scale of a channel whose largest magnitude is most.
inline __device__ float row_scale(float most) { return most / HIGHEST; }

inline __device__ float row_rounded(float s, float scale) { return scale < FLT_MIN ? 0 : scaled_rounded(s, scale); }
