// sample: marks the ids of the batch as seen, then chooses the next id of its first rows; the order of work is that of
// the Java record Sample
//
//   slots, positions  (rows)      i32
//   starts            (rows + 1)  i32, row r has the tokens starts[r] ... starts[r + 1] - 1
//   options           (slots, 5)  f32: temperature, top-k, top-p, min-p, repetition penalty
//   keys              (slots, 4)  i32: seed low, seed high, row key low, row key high
//   seen              (slots, vocab) i8, updated
//   ids               (tokens)    i32
//   logits            (chosen, at least vocab) f32
//   out               (chosen)    i32, chosen <= rows
//
// Entry point, at the end: sample_f32. A block a row.
//
// Nothing is sorted and nothing stored: a cut by rank is a threshold (Cut), found digit by digit as a radix sort would,
// and every pass works from the logits again. Weights are summed as integers in units of 2^-WEIGHT_BITS of the
// greatest, so sums are exact and do not depend on the order in which threads add.
#include <cstdint>

#include "device.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 1024;
constexpr int WARPS = THREADS / WARP;
constexpr int WEIGHT_BITS = 40;  // 2^23 weights of 1 stay within 63 bits
constexpr int DIGIT_BITS = 8;
constexpr int DIGITS = 1 << DIGIT_BITS;

using Amount = unsigned long long;

enum Measure { COUNT, WEIGHT };

// The ids that may still be chosen: a greater key than the threshold, or this key and an id up to last_tied.
struct Cut {
  unsigned key;
  int last_tied;
};

// One row's logits and how to read them.
struct Scores {
  const float* logits;      // (vocab), and padding behind it
  const signed char* seen;  // (vocab)
  int vocab;
  float penalty;   // 1 for none
  float greatest;  // score
  float scale;  // 1 / temperature
};

// A score and where it was found.
struct Greatest {
  float value;
  int id;
};

// Philox4x32-10 (Salmon et al., SC 2011): the first word of the block that counter and key stand for.
inline __device__ unsigned philox(uint4 counter, unsigned key0, unsigned key1) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const unsigned high0 = __umulhi(0xD2511F53u, counter.x);
    const unsigned high1 = __umulhi(0xCD9E8D57u, counter.z);
    counter = make_uint4(high1 ^ counter.y ^ key0, 0xCD9E8D57u * counter.z, high0 ^ counter.w ^ key1,
                         0xD2511F53u * counter.x);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter.x;
}

// The logit after the repetition penalty.
inline __device__ float score_of(const Scores& scores, int id) {
  const float logit = scores.logits[id];
  if (scores.penalty == 1 || scores.seen[id] == 0) return logit;
  return logit > 0 ? logit / scores.penalty : logit * scores.penalty;
}

// An unsigned integer that orders as the float does, with both zeros alike.
inline __device__ unsigned key_of(float score) {
  const unsigned bits = __float_as_uint(score + 0.0f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

// exp((score - greatest) / temperature): 1 for the greatest.
inline __device__ float weight_of(const Scores& scores, float score) {
  return expf((score - scores.greatest) * scores.scale);
}

inline __device__ bool keeps(Cut cut, unsigned key, int id) {
  return key > cut.key || (key == cut.key && id <= cut.last_tied);
}

// Calls visit(score, id) for the ids of this thread, of all threads each once: four neighbours, and far apart. Loads of
// a trip are under way together, as a row of logits is read by one block alone.
template <typename Visit>
__device__ void for_each_score(const Scores& scores, Visit visit) {
  constexpr int TRIP = 4;  // loads
  const bool fours = reinterpret_cast<uintptr_t>(scores.logits) % sizeof(float4) == 0;
  const int whole = fours && scores.penalty == 1 ? scores.vocab / 4 : 0;
  const float4* quads = reinterpret_cast<const float4*>(scores.logits);
  for (int first = threadIdx.x; first < whole; first += TRIP * THREADS) {
    float4 quad[TRIP];
#pragma unroll
    for (int i = 0; i < TRIP; i++) {
      if (first + i * THREADS < whole) quad[i] = quads[first + i * THREADS];
    }
#pragma unroll
    for (int i = 0; i < TRIP; i++) {
      const int id = (first + i * THREADS) * 4;
      if (first + i * THREADS >= whole) continue;
      visit(quad[i].x, id), visit(quad[i].y, id + 1), visit(quad[i].z, id + 2), visit(quad[i].w, id + 3);
    }
  }
  for (int id = whole * 4 + threadIdx.x; id < scores.vocab; id += THREADS) visit(score_of(scores, id), id);
}

// What an id adds to a sum: 1 or its weight if the cut keeps it and it weighs at least `least`, otherwise 0.
template <Measure measure>
__device__ Amount amount_of(const Scores& scores, Cut cut, float least, float score, int id) {
  if (!keeps(cut, key_of(score), id)) return 0;
  if (measure == COUNT) return 1;
  const float weight = weight_of(scores, score);
  return weight >= least ? __float2ull_rn(ldexpf(weight, WEIGHT_BITS)) : 0;
}

// The greatest score and, of equal ones, the lowest id; id 0 if no score is a number. The same in each thread.
inline __device__ Greatest greatest_of(const Scores& scores) {
  __shared__ Greatest warps_sh[WARPS];
  Greatest best = {-INFINITY, scores.vocab};
  const auto take = [&best](float value, int id) {
    if (value > best.value || (value == best.value && id < best.id)) best = {value, id};
  };
  for_each_score(scores, take);
#pragma unroll
  for (int apart = WARP / 2; apart > 0; apart /= 2) {
    take(__shfl_xor_sync(ALL_LANES, best.value, apart), __shfl_xor_sync(ALL_LANES, best.id, apart));
  }
  if (threadIdx.x % WARP == 0) warps_sh[threadIdx.x / WARP] = best;
  __syncthreads();
#pragma unroll
  for (int warp = 0; warp < WARPS; warp++) take(warps_sh[warp].value, warps_sh[warp].id);
  return {best.value, best.id == scores.vocab ? 0 : best.id};
}

// The sum of a number of each thread up to and with this one, and of all of them.
struct Running {
  Amount own;
  Amount all;
};

inline __device__ Running running_sum(Amount amount) {
  __shared__ Amount warps_sh[WARPS];
  const int lane = threadIdx.x % WARP;
#pragma unroll
  for (int apart = 1; apart < WARP; apart *= 2) {
    const Amount below = __shfl_up_sync(ALL_LANES, amount, apart);
    if (lane >= apart) amount += below;
  }
  __syncthreads();  // an earlier call's readers are done
  if (lane == WARP - 1) warps_sh[threadIdx.x / WARP] = amount;
  __syncthreads();
  Running sum = {amount, 0};
#pragma unroll
  for (int warp = 0; warp < WARPS; warp++) {
    if (warp < static_cast<int>(threadIdx.x) / WARP) sum.own += warps_sh[warp];
    sum.all += warps_sh[warp];
  }
  return sum;
}

inline __device__ Amount total_weight(const Scores& scores, Cut cut, float least) {
  Amount own = 0;
  for_each_score(scores, [&](float score, int id) { own += amount_of<WEIGHT>(scores, cut, least, score, id); });
  return running_sum(own).all;
}

// The first id, in id order, at which amount(id) summed from id 0 on exceeds `passed`; `otherwise` if none does.
// Goes over the vocab in id order, THREADS ids at a time, and stops behind the tile in which the sum passes.
template <typename AmountOfId>
__device__ int first_beyond(int vocab, Amount passed, int otherwise, AmountOfId amount_of_id) {
  __shared__ int found_sh;
  __syncthreads();  // an earlier call's readers are done
  if (threadIdx.x == 0) found_sh = otherwise;
  Amount before = 0;
  for (int first = 0; first < vocab && before <= passed; first += THREADS) {
    const int id = first + threadIdx.x;
    const Amount amount = id < vocab ? amount_of_id(id) : 0;
    const Running sum = running_sum(amount);  // its barriers also order found_sh
    const Amount reached = before + sum.own;
    if (reached > passed && reached - amount <= passed) found_sh = id;  // true of one thread
    before += sum.all;
  }
  __syncthreads();
  return found_sh;
}

// Adds amounts to bins, once a warp and digit: many scores share their upper digits. Every lane must call it.
inline __device__ void add_to_bins(Amount* bins_sh, bool adds, unsigned digit, Amount amount) {
  constexpr int HALF = 21;  // amounts are at most 2^40, and a warp's sum of either half stays within 32 bits
  const unsigned voters = __ballot_sync(ALL_LANES, adds);
  if (!adds) return;
  const unsigned peers = __match_any_sync(voters, digit);
  const unsigned low = __reduce_add_sync(peers, static_cast<unsigned>(amount) & ((1u << HALF) - 1));
  const unsigned high = __reduce_add_sync(peers, static_cast<unsigned>(amount >> HALF));
  const int leader = __ffs(static_cast<int>(peers)) - 1;
  if (static_cast<int>(threadIdx.x) % WARP == leader) {
    atomicAdd(&bins_sh[digit], (static_cast<Amount>(high) << HALF) + low);
  }
}

// A radix select: DIGIT_BITS of the key at a time, from the top, the amounts are summed by digit over the ids whose keys
// begin with the threshold so far. From the greatest digit down they are taken off what is wanted, until a digit
// reaches it: that is the threshold's next digit. Four passes find all 32 bits.
//
// Keeps, of what `cut` keeps, the greatest scores whose amounts together first reach `wanted`, which is at least 1 and
// at most the sum of all.
template <Measure measure>
__device__ Cut narrow(const Scores& scores, Cut cut, Amount wanted) {
  __shared__ Amount bins_sh[DIGITS];
  __shared__ Amount left_sh;
  __shared__ unsigned threshold_sh;
  unsigned threshold = 0;
  Amount left = wanted;
  for (int shift = 32 - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
    for (int digit = threadIdx.x; digit < DIGITS; digit += THREADS) bins_sh[digit] = 0;
    __syncthreads();
    for (int first = 0; first < scores.vocab; first += THREADS) {
      const int id = first + threadIdx.x;
      const float score = id < scores.vocab ? score_of(scores, id) : 0;
      const unsigned key = id < scores.vocab ? key_of(score) : 0;
      const bool matches = static_cast<Amount>(key) >> (shift + DIGIT_BITS) == threshold;
      const Amount amount = id < scores.vocab && matches ? amount_of<measure>(scores, cut, 0, score, id) : 0;
      add_to_bins(bins_sh, amount > 0, key >> shift & (DIGITS - 1), amount);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int digit = DIGITS - 1;
      while (digit > 0 && bins_sh[digit] < left) left -= bins_sh[digit--];
      threshold_sh = threshold << DIGIT_BITS | digit;
      left_sh = left;
    }
    __syncthreads();
    threshold = threshold_sh;
    left = left_sh;
  }
  // Of the ids with the threshold's key, the first ones until `left` is reached.
  const auto tied = [&](int id) -> Amount {
    const float score = score_of(scores, id);
    return key_of(score) == threshold ? amount_of<measure>(scores, cut, 0, score, id) : 0;
  };
  return {threshold, first_beyond(scores.vocab, left - 1, INT_MAX, tied)};
}

// The id at which the summed weights of what is kept first exceed (floor(word / 2^8) + 1/2) / 2^24 of their sum. The
// product with that sum is taken in 128 bits and rounded down: an integer exceeds it if it exceeds its floor.
inline __device__ int draw(const Scores& scores, Cut cut, float least, unsigned word, int otherwise) {
  const Amount total = total_weight(scores, cut, least);
  const Amount odd = 2 * static_cast<Amount>(word >> 8) + 1;  // in units of 2^-25
  const Amount passed = __umul64hi(odd, total) << 39 | odd * total >> 25;
  return first_beyond(scores.vocab, passed, otherwise,
                      [&](int id) { return amount_of<WEIGHT>(scores, cut, least, score_of(scores, id), id); });
}

// The order of work of Sample. All threads come to the same decisions, so barriers within are met by all.
// options (5) and keys (4) are those of the row's slot; index is that of the id to be chosen in its sequence.
inline __device__ int choose(Scores scores, const float* options, const int* keys, int index) {
  const float temperature = options[0];
  const int top_k = static_cast<int>(options[1]);
  const float top_p = options[2];
  const float min_p = options[3];
  scores.penalty = options[4];
  const Greatest greatest = greatest_of(scores);
  if (temperature == 0) return greatest.id;
  scores.greatest = greatest.value;
  scores.scale = 1 / temperature;
  Cut cut = {0, INT_MAX};
  if (top_k > 0 && top_k < scores.vocab) cut = narrow<COUNT>(scores, cut, top_k);
  if (top_p < 1) {
    const double share = ceil(top_p * static_cast<double>(total_weight(scores, cut, 0)));
    cut = narrow<WEIGHT>(scores, cut, share < 1 ? 1 : static_cast<Amount>(share));
  }
  const uint4 counter = make_uint4(keys[2], keys[3], index, 0);
  return draw(scores, cut, min_p, philox(counter, keys[0], keys[1]), greatest.id);
}

// Marks the row's ids; at position 0 the slot's sequence begins anew. Ids past vocab are not kept account of.
inline __device__ void mark(signed char* seen, const int* ids, int first, int end, bool fresh, int vocab) {
  if (fresh) {
    for (int id = threadIdx.x; id < vocab; id += THREADS) seen[id] = 0;
    __syncthreads();
  }
  for (int token = first + threadIdx.x; token < end; token += THREADS) {
    if (ids[token] < vocab) seen[ids[token]] = 1;
  }
  __syncthreads();
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS)
sample_f32(const int* slots, const int* starts, const int* positions, const float* options, const int* keys,
           signed char* seen, int seen_stride, const int* ids, const float* logits, int logits_stride, int* out,
           int chosen, int vocab) {
  const int row = blockIdx.x;
  const size_t slot = slots[row];
  const int tokens = starts[row + 1] - starts[row];
  signed char* row_seen = seen + slot * seen_stride;
  mark(row_seen, ids, starts[row], starts[row + 1], positions[row] == 0, vocab);
  if (row >= chosen) return;
  const Scores scores = {logits + static_cast<size_t>(row) * logits_stride, row_seen, vocab, 1, 0, 1};
  const int id = choose(scores, options + slot * 5, keys + slot * 4, positions[row] + tokens);
  if (threadIdx.x == 0) out[row] = id;
}
