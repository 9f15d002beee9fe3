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
// Nothing is sorted: a cut by rank is a threshold (Cut), found digit by digit as a radix sort would. A row of logits is
// read by one block alone, so passes over it are what a row costs. Before a cut, one or two of them bound how far below
// the greatest score the cut can reach; what is within goes, in id order, into a list in shared memory, and all that
// follows reads the list instead of the logits; of a short one, each entry is held against each. If the list has no
// room, every pass works from the logits. Weights are summed as integers in units of 2^-WEIGHT_BITS of the greatest, so
// sums are exact and do not depend on the order in which threads add.
#include "device.cuh"
#include "sample.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 1024;
static_assert(THREADS == ROW_THREADS, "a block a row");
constexpr int WEIGHT_BITS = 40;  // 2^23 weights of 1 stay within 63 bits
constexpr int DIGIT_BITS = 6;
constexpr int BINS = 1 << DIGIT_BITS;
constexpr float BINS_PER_E = 2;    // in a factor e of weight: together they hold what weighs 2^-WEIGHT_BITS
constexpr float COLDEST = 1e-30f;  // the temperature above which distances of such bins are far from underflow
constexpr int LISTED = 3072;       // ids that the list has room for
constexpr int FEW = 512;           // ids of which each is held against each
constexpr int MARKED = 2 * BINS * WARP * WARP;  // the largest vocab of which a list is made

enum Measure { COUNT, WEIGHT };

// The ids that may still be chosen: a greater key than the threshold, or this key and an id up to last_tied.
struct Cut {
  unsigned key;
  int last_tied;
};

// A sum a bin, as one of each lane, so that no two lanes of a warp meet.
struct Bins {
  unsigned low[BINS][WARP];  // halves
  unsigned high[BINS][WARP];
};

// What a row's cuts are made in. Of the first three, one is in use at a time.
struct Room {
  union {
    Bins bins;
    unsigned marks[MARKED / WARP];  // a bit an id
    struct {
      unsigned keys[FEW];
      Amount amounts[FEW];
    } few;
  };
  alignas(sizeof(float4)) float scores[LISTED];
  int ids[LISTED];
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

// exp((score - greatest) / temperature): 1 for the greatest.
inline __device__ float weight_of(const Scores& scores, float score) {
  return expf((score - scores.greatest) * scores.scale);
}

inline __device__ bool keeps(Cut cut, unsigned key, int id) {
  return key > cut.key || (key == cut.key && id <= cut.last_tied);
}

// What an id adds to a sum: 1 or its weight if the cut keeps it and it weighs at least `least`, otherwise 0.
template <Measure measure>
__device__ Amount amount_of(const Scores& scores, Cut cut, float least, float score, int id) {
  if (!keeps(cut, key_of(score), id)) return 0;
  if (measure == COUNT) return 1;
  const float weight = weight_of(scores, score);
  return weight >= least ? __float2ull_rn(weight * (1ull << WEIGHT_BITS)) : 0;
}

inline __device__ Amount total_weight(const Scores& scores, Cut cut, float least) {
  Amount own = 0;
  for_each_score<1>(scores, [&](float score, int id) { own += amount_of<WEIGHT>(scores, cut, least, score, id); });
  return running_sum(own).all;
}

// Neighbouring ids, and what those before them amount to.
struct Part {
  int first;
  int end;
  Amount before;
};

// The first id of the part at which amount(id) summed from id 0 on exceeds `passed`; `otherwise` if none does. Goes
// over it in id order, THREADS ids at a time, and stops behind the tile in which the sum passes.
template <typename AmountOfId>
__device__ int first_beyond(Part part, Amount passed, int otherwise, AmountOfId amount_of_id) {
  __shared__ int found_sh;
  __syncthreads();  // an earlier call's readers are done
  if (threadIdx.x == 0) found_sh = otherwise;
  Amount before = part.before;
#pragma unroll 1
  for (int first = part.first; first < part.end && before <= passed; first += THREADS) {
    const int id = first + threadIdx.x;
    const Amount amount = id < part.end ? amount_of_id(id) : 0;
    const Running sum = running_sum(amount);  // its barriers also order found_sh
    const Amount reached = before + sum.own;
    if (reached > passed && reached - amount <= passed) found_sh = id;  // true of one thread
    before += sum.all;
  }
  __syncthreads();
  return found_sh;
}

// Empties the bins. To be followed by a barrier.
inline __device__ void clear(Bins& bins_sh) {
  for (int i = threadIdx.x; i < BINS * WARP; i += THREADS) bins_sh.low[0][i] = bins_sh.high[0][i] = 0;
}

inline __device__ void add(Bins& bins_sh, int bin, Amount amount) {
  const int lane = threadIdx.x % WARP;
  const unsigned low = static_cast<unsigned>(amount);
  const unsigned carry = atomicAdd(&bins_sh.low[bin][lane], low) > ~low ? 1 : 0;
  const unsigned high = static_cast<unsigned>(amount >> 32) + carry;
  if (high > 0) atomicAdd(&bins_sh.high[bin][lane], high);
}

// Thread t < BINS gets the sum of bin t, the others 0.
inline __device__ Amount sum_of_bin(const Bins& bins_sh) {
  __shared__ Amount sums_sh[BINS];
  const int lane = threadIdx.x % WARP;
  __syncthreads();
  for (int bin = threadIdx.x / WARP; bin < BINS; bin += WARPS) {
    const Amount column = static_cast<Amount>(bins_sh.high[bin][lane]) << 32 | bins_sh.low[bin][lane];
    const Amount sum = running_sum_of_warp(column);
    if (lane == WARP - 1) sums_sh[bin] = sum;
  }
  __syncthreads();
  return threadIdx.x < BINS ? sums_sh[threadIdx.x] : 0;
}

// A radix select: DIGIT_BITS of the key at a time, from the top, the amounts are summed by digit over the ids whose
// keys begin with the threshold so far. From the greatest digit down they are taken off what is wanted, until a digit
// reaches it: that is the threshold's next digit. Six passes find all 32 bits.
//
// Keeps, of what `cut` keeps, the greatest scores whose amounts together first reach `wanted`, which is at least 1 and
// at most the sum of all.
template <Measure measure>
__device__ Cut narrow(const Scores& scores, Cut cut, Amount wanted, Bins& bins_sh) {
  __shared__ Amount left_sh;
  __shared__ unsigned threshold_sh;
  constexpr int TOP_SHIFT = (31 / DIGIT_BITS) * DIGIT_BITS;
  unsigned threshold = 0;
  Amount left = wanted;
#pragma unroll 1
  for (int shift = TOP_SHIFT; shift >= 0; shift -= DIGIT_BITS) {
    clear(bins_sh);
    __syncthreads();
    for_each_score<2>(scores, [&](float score, int id) {
      const unsigned digits = key_of(score) >> shift;
      if (digits >> DIGIT_BITS != threshold) return;
      const Amount amount = amount_of<measure>(scores, cut, 0, score, id);
      if (amount > 0) add(bins_sh, BINS - 1 - digits % BINS, amount);  // the greatest digit first
    });
    const Amount amount = sum_of_bin(bins_sh);
    const Running sum = running_sum(amount);
    const Amount above = sum.own - amount;
    const int digit = BINS - 1 - static_cast<int>(threadIdx.x);
    if (digit >= 0 && above < left && (sum.own >= left || digit == 0)) {  // true of one thread
      threshold_sh = threshold << DIGIT_BITS | digit;
      left_sh = left - above;
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
  return {threshold, first_beyond({0, scores.vocab, 0}, left - 1, INT_MAX, tied)};
}

// How far below the greatest score the `count` greatest surely lie, as the bits of a distance: so many threads read one
// within. `own` is the distance of the greatest score that this thread read, count at most THREADS.
inline __device__ unsigned reach_of_count(float own, int count) {
  constexpr unsigned FINEST = 1 << 16;  // 7 bits of mantissa
  unsigned reach = 0;
#pragma unroll 1
  for (unsigned bit = 1u << 30; bit >= FINEST; bit /= 2) {
    if (__syncthreads_count(__float_as_uint(own) < (reach | bit)) < count) reach |= bit;
  }
  return reach | (FINEST - 1);
}

// What a share of the weights comes to.
inline __device__ Amount wanted_of(float share, Amount total) {
  return max(static_cast<Amount>(ceil(share * static_cast<double>(total))), 1ull);
}

// The same for the greatest whose weights reach `share` of all; `total` becomes the sum of all.
inline __device__ unsigned reach_of_share(const Scores& scores, float share, Bins& bins_sh, Amount* total) {
  __shared__ int reached_sh;
  clear(bins_sh);
  __syncthreads();
  for_each_score<2>(scores, [&](float score, int id) {
    const Amount amount = amount_of<WEIGHT>(scores, {0, INT_MAX}, 0, score, id);
    const int bin = static_cast<int>(distance_of(scores, score) * scores.scale * BINS_PER_E);
    if (amount > 0) add(bins_sh, min(bin, BINS - 1), amount);
  });
  const Amount amount = sum_of_bin(bins_sh);
  const Running sum = running_sum(amount);
  const Amount wanted = wanted_of(share, sum.all);
  if (sum.own >= wanted && sum.own - amount < wanted) reached_sh = threadIdx.x;  // true of one thread
  __syncthreads();
  *total = sum.all;
  constexpr float ROUNDING = 1.0001f;  // the bin's own products were rounded
  return __float_as_uint((reached_sh + 1) / (BINS_PER_E * scores.scale) * ROUNDING);
}

// Lists the ids whose distances have at most the bits `reach`, in id order. Their number; -1 if the list has no room
// for them or any distance is not a number, when keys do not order as distances do.
inline __device__ int list_within(const Scores& scores, unsigned reach, Room& room_sh) {
  if (scores.vocab > MARKED) return -1;
  const int words = (scores.vocab + WARP - 1) / WARP;
  __syncthreads();  // earlier readers of the room are done
  for (int word = threadIdx.x; word < words; word += THREADS) room_sh.marks[word] = 0;
  __syncthreads();
  unsigned farthest = 0;
  for_each_score<4>(scores, [&](float score, int id) {
    const unsigned distance = __float_as_uint(distance_of(scores, score));
    farthest = max(farthest, distance);
    if (distance <= reach) atomicOr(&room_sh.marks[id / WARP], 1u << id % WARP);
  });
  if (__syncthreads_or(farthest > __float_as_uint(INFINITY))) return -1;
  const int share = (words + THREADS - 1) / THREADS;
  const int first = min(words, static_cast<int>(threadIdx.x) * share);
  const int end = min(words, first + share);
  int own = 0;
  for (int word = first; word < end; word++) own += __popc(room_sh.marks[word]);
  const Running sum = running_sum(own);
  if (sum.all > LISTED) return -1;
  int at = static_cast<int>(sum.own) - own;
  for (int word = first; word < end; word++) {
    for (unsigned marks = room_sh.marks[word]; marks != 0; marks &= marks - 1) {
      room_sh.ids[at++] = word * WARP + __ffs(static_cast<int>(marks)) - 1;
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < sum.all; i += THREADS) room_sh.scores[i] = score_of(scores, room_sh.ids[i]);
  __syncthreads();
  return static_cast<int>(sum.all);
}

// Of sums of weights, in id order, that come to `total`, the one is drawn that first exceeds this: (floor(word / 2^8) +
// 1/2) / 2^24 of it. The product is taken in 128 bits and rounded down: an integer exceeds it if it exceeds its floor.
inline __device__ Amount passed_of(unsigned word, Amount total) {
  const Amount odd = 2 * static_cast<Amount>(word >> 8) + 1;  // in units of 2^-25
  return __umul64hi(odd, total) << 39 | odd * total >> 25;
}

// The id of what is kept at which the summed weights exceed passed_of their sum; -1 if none does. Each warp sums a part
// of the ids, and the part in which the sum passes is gone over again.
inline __device__ int draw(const Scores& scores, Cut cut, float least, unsigned word) {
  __shared__ Part part_sh;
  const int fours = fours_of(scores);
  const int share = (fours + WARPS - 1) / WARPS;
  const int first = min(fours, static_cast<int>(threadIdx.x) / WARP * share);
  const int end = min(fours, first + share);
  const int lane = threadIdx.x % WARP;
  Amount own = 0;
  for_each_in_fours<2>(scores, first + lane, WARP, end, [&](float score, int id) {
    own += amount_of<WEIGHT>(scores, cut, least, score, id);
  });
  Amount behind = 0;
  for_each_behind_fours(scores, [&](float score, int id) {
    behind += amount_of<WEIGHT>(scores, cut, least, score, id);
  });
  const Running sum = running_sum(own);
  const Amount passed = passed_of(word, sum.all + running_sum(behind).all);
  const Amount before = __shfl_sync(ALL_LANES, sum.own - own, 0);
  const Amount reached = __shfl_sync(ALL_LANES, sum.own, WARP - 1);
  if (lane == 0 && before <= passed && passed < reached) part_sh = {first * 4, end * 4, before};
  if (threadIdx.x == 0 && passed >= sum.all) part_sh = {fours * 4, scores.vocab, sum.all};
  __syncthreads();
  return first_beyond(part_sh, passed, -1,
                      [&](int id) { return amount_of<WEIGHT>(scores, cut, least, score_of(scores, id), id); });
}

// What a row asks for.
struct Cuts {
  int top_k;  // INT_MAX for all
  float top_p;
  float min_p;
  unsigned word;
};

// Cuts a list of at most FEW and draws from it: a thread an entry, which is ahead of another in rank if it is greater
// or, of equal ones, comes first. `total` is the weight that top_p is a share of, 0 if not known. The index in the
// list; -1 if nothing weighs.
inline __device__ int draw_of_few(const Scores& list, const Cuts& cuts, Amount total, Room& room_sh) {
  __shared__ int drawn_sh;
  const int i = threadIdx.x;
  const bool has = i < list.vocab;
  const unsigned key = has ? key_of(list.logits[i]) : 0;
  Amount amount = has ? amount_of<WEIGHT>(list, {0, INT_MAX}, 0, list.logits[i], i) : 0;
  if (has) room_sh.few.keys[i] = key, room_sh.few.amounts[i] = amount;
  if (i == 0) drawn_sh = -1;
  __syncthreads();
  int rank = 0;
  Amount ahead = 0;
  for (int other = 0; has && other < list.vocab; other++) {
    const unsigned other_key = room_sh.few.keys[other];
    if (other_key > key || (other_key == key && other < i)) rank++, ahead += room_sh.few.amounts[other];
  }
  if (rank >= cuts.top_k) amount = 0;
  if (cuts.top_p < 1) {
    if (total == 0) total = running_sum(amount).all;
    if (ahead >= wanted_of(cuts.top_p, total)) amount = 0;
  }
  if (has && weight_of(list, list.logits[i]) < cuts.min_p) amount = 0;
  const Running sum = running_sum(amount);
  const Amount passed = passed_of(cuts.word, sum.all);
  if (sum.own > passed && sum.own - amount <= passed) drawn_sh = i;  // true of one thread
  __syncthreads();
  return drawn_sh;
}

// The same of any number of scores; the index among them.
inline __device__ int draw_of_many(const Scores& scores, const Cuts& cuts, Amount total, Room& room_sh) {
  Cut cut = {0, INT_MAX};
  if (cuts.top_k < INT_MAX) cut = narrow<COUNT>(scores, cut, cuts.top_k, room_sh.bins);
  if (cuts.top_p < 1) {
    if (total == 0) total = total_weight(scores, cut, 0);
    cut = narrow<WEIGHT>(scores, cut, wanted_of(cuts.top_p, total), room_sh.bins);
  }
  return draw(scores, cut, cuts.min_p, cuts.word);
}

// The order of work of Sample. All threads come to the same decisions, so barriers within are met by all.
// options (5) and keys (4) are those of the row's slot; index is that of the id to be chosen in its sequence.
inline __device__ int choose(Scores scores, const float* options, const int* keys, int index) {
  __shared__ Room room_sh;
  const float temperature = options[0];
  scores.penalty = options[4];
  float own_greatest;
  const Greatest greatest = greatest_of(scores, &own_greatest);
  if (temperature == 0) return greatest.id;
  scores.greatest = greatest.value;
  scores.scale = 1 / temperature;
  const int top_k = static_cast<int>(options[1]);
  const uint4 counter = make_uint4(keys[2], keys[3], index, 0);
  const Cuts cuts = {top_k > 0 && top_k < scores.vocab ? top_k : INT_MAX, options[2], options[3],
                     philox(counter, keys[0], keys[1])};
  Amount total = 0;
  int listed = -1;
  if (cuts.top_k <= THREADS) {
    listed = list_within(scores, reach_of_count(distance_of(scores, own_greatest), top_k), room_sh);
  } else if (cuts.top_k == INT_MAX && cuts.top_p < 1 && temperature > COLDEST) {
    listed = list_within(scores, reach_of_share(scores, cuts.top_p, room_sh.bins, &total), room_sh);
  }
  if (listed >= 0) {
    scores.logits = room_sh.scores;
    scores.penalty = 1;
    scores.vocab = listed;
  }
  const bool few = listed >= 0 && listed <= FEW;
  const int drawn = few ? draw_of_few(scores, cuts, total, room_sh) : draw_of_many(scores, cuts, total, room_sh);
  return drawn < 0 ? greatest.id : listed < 0 ? drawn : room_sh.ids[drawn];
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
  await_before();
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
