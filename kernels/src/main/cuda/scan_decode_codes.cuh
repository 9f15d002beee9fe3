// What scan_decode.cu does with a row of codes and a row-scaled state, but for the last token of an interval: the same
// bits as scan_decode.cuh in fewer instructions. Sums of products of codes are exact, so tensor cores may take them in
// any order. A warp has every fourth head of a block, and loads the next while it works on one. Holds no entry point.
//
// Lane (g, c) = (l / 4, l % 4) holds of the rows 8 g ... 8 g + 7 of H the columns 16 c ... and 64 + 16 c ..., 16 each.
#pragma once
#include "matrix.cuh"
#include "scan_decode.cuh"

constexpr int ROW_LANES = 4;                            // lanes of a row
constexpr int LANE_ROWS = HEAD_DIM * ROW_LANES / WARP;  // rows of a lane

// The lane's columns of a row.
struct Columns {
  uint4 codes[2];

  // first: where the lane's first column lies, a multiple of 16 bytes.
  __device__ void load(uint64_t policy, const signed char* first) {
    codes[0] = load_by(policy, first);
    codes[1] = load_by(policy, first + STATE_DIM / 2);
  }
  __device__ void store(signed char* first) const {
    *reinterpret_cast<uint4*>(first) = codes[0];
    *reinterpret_cast<uint4*>(first + STATE_DIM / 2) = codes[1];
  }
  // As load, for a multiple of 8.
  __device__ void load_input(const signed char* first) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const uint2 low = load_codes<true>(first + i * (STATE_DIM / 2));
      const uint2 high = load_codes<true>(first + i * (STATE_DIM / 2) + 8);
      codes[i] = {low.x, low.y, high.x, high.y};
    }
  }
};

// C as the second operand of products whose first is a lane's columns as they lie: of four neighbouring words of these
// the first and third are row g of the first operand and the others row g + 8, so C's first and third words are even
// columns of the second, the others odd ones.
struct ColumnsReader {
  int words[2][2];

  __device__ explicit ColumnsReader(const Columns& c) {
    const bool odd = threadIdx.x / ROW_LANES % 2 == 1;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      words[i][0] = static_cast<int>(odd ? c.codes[i].y : c.codes[i].x);
      words[i][1] = static_cast<int>(odd ? c.codes[i].w : c.codes[i].z);
    }
  }
  // The whole row's product with C, the same in its lanes.
  __device__ int dot(const Columns& row) const {
    int sums[4] = {};
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int four[4] = {static_cast<int>(row.codes[i].x), static_cast<int>(row.codes[i].y),
                           static_cast<int>(row.codes[i].z), static_cast<int>(row.codes[i].w)};
      add_product(sums, four, words[i][0], words[i][1]);
    }
    return sums[0] + sums[3];
  }
};

// The step size of a token, from loads that are done long before.
struct Step {
  int raw;  // a code, or the bits of a number
  float scale;
  float bias;

  // What is of the model.
  __device__ Step(const Heads& heads, const Inputs<signed char>& in, int head) : bias(heads.dt_bias[head]) {
    if (in.dt_scale != nullptr) scale = in.dt_scale[head * in.dt_scale_step];
  }
  __device__ void read(const Inputs<signed char>& in, int row, int head) {
    const size_t at = static_cast<size_t>(row) * in.dt_stride + head;
    raw = in.dt_scale == nullptr ? static_cast<const int*>(in.dt)[at] : static_cast<const signed char*>(in.dt)[at];
  }
  // As Heads::step.
  __device__ float value(const Heads& heads, const Inputs<signed char>& in) const {
    const float unbiased =
        in.dt_scale == nullptr ? __int_as_float(raw) : __fmul_rn(static_cast<float>(raw), scale);
    return fminf(fmaxf(softplus(__fadd_rn(unbiased, bias)), heads.dt_min), heads.dt_max);
  }
};

struct CodesShared {
  struct {
    signed char xs[2][INTERVAL * HEAD_DIM];  // of a head and of the next
    float decays[INTERVAL];
    float factors[INTERVAL];
  } warps[DECODE_WARPS];
};

// Part `part` of the heads of a group of a row: at most DECODE_WARPS * WARP heads, as a lane keeps numbers of one.
inline __device__ void decode_codes(CodesShared& block_sh, int part, int group, int row, int position,
                                    const Slot<RowState, signed char>& slot, const Heads& heads,
                                    const Inputs<signed char>& in, float* out, int out_stride, int heads_per_part) {
  const int lane = threadIdx.x % WARP;
  const int g = lane / ROW_LANES;
  const int first_column = lane % ROW_LANES * 16;
  const int i = position % INTERVAL;
  const bool fresh = position < INTERVAL;
  auto& sh = block_sh.warps[threadIdx.x / WARP];
  const int begin_head = group * heads.per_group + part * heads_per_part;
  const int end_head = min(begin_head + heads_per_part, (group + 1) * heads.per_group);
  const int first_head = begin_head + threadIdx.x / WARP;
  const signed char* own_b = in.b + static_cast<size_t>(row) * in.b_stride + group * STATE_DIM;
  const signed char* own_x = in.x + static_cast<size_t>(row) * in.x_stride + 2 * lane;

  // Lane t has what does not change with the interval of the warp's head t.
  const int own_head = min(first_head + lane * DECODE_WARPS, end_head - 1);
  Step own_step(heads, in, own_head);
  const float own_a = heads.a[own_head];
  const float own_skip = heads.skip[own_head];
  const float b_scale = scale_of(in.b_scale, in.b_scale_step, group * STATE_DIM);
  const float c_scale = scale_of(in.c_scale, in.c_scale_step, group * STATE_DIM);

  // What a head reads, all before the first use of any: of its slot, and of the token.
  Columns rows[LANE_ROWS];
  float2 next_row_scale = {1, 1};
  float2 next_x_scale;
  float next_dt;
  Pair<signed char> next_x;
  const auto begin = [&](int head, int turn) {
    const int first_row = head * HEAD_DIM;
    if (!fresh) {
      const uint64_t policy = read_once();
      const signed char* from = slot.state + static_cast<size_t>(first_row + g * LANE_ROWS) * STATE_DIM + first_column;
#pragma unroll
      for (int k = 0; k < LANE_ROWS; k++) rows[k].load(policy, from + k * STATE_DIM);
      next_row_scale = *reinterpret_cast<const float2*>(slot.scales + first_row + 2 * lane);
    }
    next_dt = slot.steps[head * INTERVAL + lane % INTERVAL];
    next_x_scale = {scale_of(in.x_scale, in.x_scale_step, first_row + 2 * lane),
                    scale_of(in.x_scale, in.x_scale_step, first_row + 2 * lane + 1)};
    const uint32_t to_sh = shared_address(sh.xs[turn % 2]) + lane * 16;
    const signed char* from = slot.xs + first_row * INTERVAL + lane * 16;
    if (lane * 16 < i * HEAD_DIM) copy_piece(to_sh, from, 16);
    if ((lane + WARP) * 16 < i * HEAD_DIM) copy_piece(to_sh + WARP * 16, from + WARP * 16, 16);
    end_copies();
  };
  if (first_head < end_head) begin(first_head, 0);
  // Of B, lanes g have entry g, and g + 8.
  signed char* bs = slot.bs + group * INTERVAL * STATE_DIM;
  Columns low, high;
  if (g < i) low.load_input(bs + g * STATE_DIM + first_column);
  if (g + INTERVAL / 2 < i) high.load_input(bs + (g + INTERVAL / 2) * STATE_DIM + first_column);

  await_before();
  if (g >= i) low.load_input(own_b + first_column);
  if (g + INTERVAL / 2 >= i) high.load_input(own_b + first_column);
  Columns c_columns;
  c_columns.load_input(in.c + static_cast<size_t>(row) * in.c_stride + group * STATE_DIM + first_column);
  own_step.read(in, row, own_head);
  if (first_head < end_head) next_x.load<true>(own_x + first_head * HEAD_DIM);
  if (first_head >= end_head) return;
  const float step = own_step.value(heads, in);
  const ColumnsReader c(c_columns);
  const int of_low = __shfl_sync(ALL_LANES, c.dot(low), lane * ROW_LANES % WARP);
  const int of_high = __shfl_sync(ALL_LANES, c.dot(high), lane * ROW_LANES % WARP);
  // B_j . C in lane j.
  const float b_dot = static_cast<float>(lane % INTERVAL < INTERVAL / 2 ? of_low : of_high) * (b_scale * c_scale);
  if (part == 0 && threadIdx.x < WARP) {  // the lanes that hold the token's own
    if (g == i) low.store(bs + i * STATE_DIM + first_column);
    if (g + INTERVAL / 2 == i) high.store(bs + i * STATE_DIM + first_column);
  }

#pragma unroll 1
  for (int head = first_head, turn = 0; head < end_head; head += DECODE_WARPS, turn++) {
    const int first_row = head * HEAD_DIM;
    float2 held = {0, 0};
    if (!fresh) {
      int dots[LANE_ROWS];
#pragma unroll
      for (int k = 0; k < LANE_ROWS; k++) dots[k] = c.dot(rows[k]);
      const bool odd = lane & 1;
      const bool upper = lane & 2;
      const int2 of_lower = odd ? int2{dots[2], dots[3]} : int2{dots[0], dots[1]};
      const int2 of_upper = odd ? int2{dots[6], dots[7]} : int2{dots[4], dots[5]};
      held = {static_cast<float>(upper ? of_upper.x : of_lower.x), static_cast<float>(upper ? of_upper.y : of_lower.y)};
    }
    const float2 row_scale = next_row_scale;
    const float2 x_scale = next_x_scale;
    const Pair<signed char> x = next_x;
    float dt = __shfl_sync(ALL_LANES, step, turn);
    if (lane < i) dt = next_dt;
    if (lane > i) dt = 0;
    await_copies<0>();
    __syncwarp();  // the other half of the ring is read
    if (head + DECODE_WARPS < end_head) {
      begin(head + DECODE_WARPS, turn + 1);
      next_x.load<true>(own_x + (head + DECODE_WARPS) * HEAD_DIM);
    }

    const float decay = expf(dt * __shfl_sync(ALL_LANES, own_a, turn));
    if (lane < INTERVAL) sh.decays[lane] = lane <= i ? decay : 1;
    __syncwarp();
    // The products of decay_until, in its order.
    const int after = lane == INTERVAL ? -1 : lane;
    float until = 1;
#pragma unroll 1
    for (int j = 0; j <= i; j += 4) {
      const float4 four = *reinterpret_cast<const float4*>(sh.decays + j);
      if (j > after) until *= four.x;
      if (j + 1 > after) until *= four.y;
      if (j + 2 > after) until *= four.z;
      if (j + 3 > after) until *= four.w;
    }
    const float from_state = __shfl_sync(ALL_LANES, until, INTERVAL);
    const float skip = __shfl_sync(ALL_LANES, own_skip, turn);
    // The skip is the token's own input once more.
    const float factor = fmaf(until * dt, b_dot, lane == i ? skip : 0);
    if (lane < INTERVAL) sh.factors[lane] = lane < i ? factor : 0;
    __syncwarp();
    float2 sum = {0, 0};
    const auto add = [&](float factor, Pair<signed char> x) {
      const float2 value = x.values();
      sum = {fmaf(factor, value.x, sum.x), fmaf(factor, value.y, sum.y)};
    };
    const Pair<signed char>* xs = reinterpret_cast<const Pair<signed char>*>(sh.xs[turn % 2]) + lane;
    // Factors of 0 behind the last of the ring change no sum.
#pragma unroll 1
    for (int j = 0; j < i; j += 4) {
      const float4 four = *reinterpret_cast<const float4*>(sh.factors + j);
      add(four.x, xs[0]);
      add(four.y, xs[HEAD_DIM / 2]);
      add(four.z, xs[HEAD_DIM]);
      add(four.w, xs[HEAD_DIM / 2 * 3]);
      xs += 2 * HEAD_DIM;
    }
    add(__shfl_sync(ALL_LANES, factor, i), x);
    const float state_scale = from_state * c_scale;
    *reinterpret_cast<float2*>(out + static_cast<size_t>(row) * out_stride + first_row + 2 * lane) = {
        fmaf(held.x, state_scale * row_scale.x, sum.x * x_scale.x),
        fmaf(held.y, state_scale * row_scale.y, sum.y * x_scale.y)};
    x.store(slot.xs + first_row * INTERVAL + i * HEAD_DIM + 2 * lane);
    if (lane == i) slot.steps[head * INTERVAL + i] = dt;
  }
}
