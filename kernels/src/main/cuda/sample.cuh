// One row of logits as sample reads it, and sums over the threads of its block. Holds no entry point.
#pragma once
#include <cstdint>

#include "device.cuh"

constexpr int ROW_THREADS = 1024;  // of the block that reads a row
constexpr int WARPS = ROW_THREADS / WARP;

using Amount = unsigned long long;

// One row's logits and how to read them.
struct Scores {
  const float* logits;      // (vocab), and padding behind it
  const signed char* seen;  // (vocab)
  int vocab;
  float penalty;   // 1 for none
  float greatest;  // score
  float scale;     // 1 / temperature
};

inline __device__ float penalized(float logit, float penalty) {
  return logit > 0 ? logit / penalty : logit * penalty;
}

// The logit after the repetition penalty.
inline __device__ float score_of(const Scores& scores, int id) {
  const float logit = scores.logits[id];
  return scores.penalty == 1 || scores.seen[id] == 0 ? logit : penalized(logit, scores.penalty);
}

// An unsigned integer that orders as the float does, with both zeros alike.
inline __device__ unsigned key_of(float score) {
  const unsigned bits = __float_as_uint(score + 0.0f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

// How far below the greatest score; NaN if either is, or both are infinite.
inline __device__ float distance_of(const Scores& scores, float score) { return fabsf(scores.greatest - score); }

// Fours of neighbours that are read at once; the ids behind them, or all if rows are not aligned, are read one by one.
inline __device__ int fours_of(const Scores& scores) {
  const bool aligned = reinterpret_cast<uintptr_t>(scores.logits) % sizeof(float4) == 0 &&
                       (scores.penalty == 1 || reinterpret_cast<uintptr_t>(scores.seen) % sizeof(char4) == 0);
  return aligned ? scores.vocab / 4 : 0;
}

// Calls visit(score, id) for the fours first, first + step ... before end. TRIP of them are loaded at once.
template <int TRIP, bool PENALTY, typename Visit>
__device__ void for_each_of_fours(const Scores& scores, int first, int step, int end, Visit visit) {
  const float4* logits = reinterpret_cast<const float4*>(scores.logits);
  const char4* seen = reinterpret_cast<const char4*>(scores.seen);
  const auto visit_one = [&](float logit, signed char is_seen, int id) {
    visit(PENALTY && is_seen != 0 ? penalized(logit, scores.penalty) : logit, id);
  };
#pragma unroll 1
  for (; first < end; first += TRIP * step) {
    float4 four[TRIP];
    char4 marks[TRIP];
#pragma unroll
    for (int i = 0; i < TRIP; i++) {
      if (first + i * step >= end) continue;
      four[i] = logits[first + i * step];
      if (PENALTY) marks[i] = seen[first + i * step];
    }
#pragma unroll
    for (int i = 0; i < TRIP; i++) {
      const int id = (first + i * step) * 4;
      if (first + i * step >= end) continue;
      visit_one(four[i].x, marks[i].x, id), visit_one(four[i].y, marks[i].y, id + 1);
      visit_one(four[i].z, marks[i].z, id + 2), visit_one(four[i].w, marks[i].w, id + 3);
    }
  }
}

template <int TRIP, typename Visit>
__device__ void for_each_in_fours(const Scores& scores, int first, int step, int end, Visit visit) {
  if (scores.penalty == 1) {
    for_each_of_fours<TRIP, false>(scores, first, step, end, visit);
  } else {
    for_each_of_fours<(TRIP + 1) / 2, true>(scores, first, step, end, visit);
  }
}

template <typename Visit>
__device__ void for_each_behind_fours(const Scores& scores, Visit visit) {
#pragma unroll 1
  for (int id = fours_of(scores) * 4 + threadIdx.x; id < scores.vocab; id += ROW_THREADS) {
    visit(score_of(scores, id), id);
  }
}

// Calls visit(score, id) for the ids of this thread, of all threads each once: four neighbours, and far apart. A trip
// is long where little is done with a score, so that many loads are under way, and short where code would be long.
template <int TRIP, typename Visit>
__device__ void for_each_score(const Scores& scores, Visit visit) {
  for_each_in_fours<TRIP>(scores, threadIdx.x, ROW_THREADS, fours_of(scores), visit);
  for_each_behind_fours(scores, visit);
}

// The sum of a number of each thread up to and with this one, and of all of them.
struct Running {
  Amount own;
  Amount all;
};

// Of the lanes of a warp.
inline __device__ Amount running_sum_of_warp(Amount amount) {
#pragma unroll
  for (int apart = 1; apart < WARP; apart *= 2) {
    const Amount below = __shfl_up_sync(ALL_LANES, amount, apart);
    if (static_cast<int>(threadIdx.x) % WARP >= apart) amount += below;
  }
  return amount;
}

inline __device__ Running running_sum(Amount amount) {
  static_assert(WARPS == WARP, "a lane a warp");
  __shared__ Amount warps_sh[WARPS];
  const int lane = threadIdx.x % WARP;
  const int warp = threadIdx.x / WARP;
  amount = running_sum_of_warp(amount);
  __syncthreads();  // an earlier call's readers are done
  if (lane == WARP - 1) warps_sh[warp] = amount;
  __syncthreads();
  const Amount warps = running_sum_of_warp(warps_sh[lane]);
  const Amount before = __shfl_sync(ALL_LANES, warps, max(warp - 1, 0));
  return {amount + (warp > 0 ? before : 0), __shfl_sync(ALL_LANES, warps, WARP - 1)};
}

// A score and where it was found.
struct Greatest {
  float value;
  int id;

  __device__ void take(float other, int other_id) {
    if (other > value || (other == value && other_id < id)) value = other, id = other_id;
  }

  __device__ void take_lanes() {
#pragma unroll
    for (int apart = WARP / 2; apart > 0; apart /= 2) {
      take(__shfl_xor_sync(ALL_LANES, value, apart), __shfl_xor_sync(ALL_LANES, id, apart));
    }
  }
};

// The greatest score and, of equal ones, the lowest id; id 0 if no score is a number. The same in each thread; `own` is
// the greatest of those that this thread read, -INFINITY if it read none.
inline __device__ Greatest greatest_of(const Scores& scores, float* own) {
  __shared__ Greatest warps_sh[WARPS];
  Greatest best = {-INFINITY, scores.vocab};
  for_each_score<4>(scores, [&best](float score, int id) { best.take(score, id); });
  *own = best.value;
  best.take_lanes();
  if (threadIdx.x % WARP == 0) warps_sh[threadIdx.x / WARP] = best;
  __syncthreads();
  best = warps_sh[threadIdx.x % WARP];
  best.take_lanes();
  return {best.value, best.id == scores.vocab ? 0 : best.id};
}
