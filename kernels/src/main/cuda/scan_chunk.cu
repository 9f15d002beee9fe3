// scan: as scan_decode.cu with many tokens of each row; the same bits for any cut of the tokens
//
// The formulas, and how a slot lies, stand in scan_ring.cuh. Arguments are those of scan_decode.cu without
// heads_per_block, a row of x, dt, b, c and out being a token, and
//
//   starts   (rows + 1)  i32, row r has the tokens starts[r] ... starts[r + 1] - 1
//   aligned  whether x, b, c and out are as scan_decode.cu asks; 0 for any other places and strides
//
// Entry points, at the end, input i8 or f32: scan_chunk_input_row_f32, scan_chunk_input_i8_f32,
// scan_chunk_input_f16_f32; grid (heads, rows): a block walks over the tokens of one head, scan_chunk_i8_row_f32 as
// scan_codes.cuh says, the others as walk() does. Each is to be followed by the scan_keep_state_input of its state and
// input, grid (groups, rows): it leaves b in the ring, which no block of scan_chunk may do while others read it.
#include "scan_codes.cuh"
#include "scan_ring.cuh"
#include "scan_round.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;
constexpr int BLOCK_WARPS = THREADS / WARP;
static_assert(BLOCK_WARPS == TILES, "a warp has a tile of rows");
static_assert(THREADS == CODES_THREADS, "all entry points have the same blocks");

template <class Element>
struct Chunk {
  IntervalB<Element> b;
  float x[INTERVAL][HEAD_DIM];          // values, of codes without scale
  IntervalX weighted;                   // for H
  float held[INTERVAL][HEAD_DIM];       // H C
  float factors[INTERVAL][INTERVAL];    // of x_j in y_i
  float from_state[INTERVAL];           // decay of H until token i
  float into_state[INTERVAL];           // of x_j in H
};

// H C of tokens first ... end - 1 for the rows of a warp. c_at(i): where C_i lies.
template <class State, bool ALIGNED, class Element, class At>
__device__ void read_state_for_tokens(Chunk<Element>& sh, const typename State::Element* state,
                                      const float* element_scales, At c_at, int first, int end) {
  const int lane = threadIdx.x % WARP;
  const int q = lane % Q_LANES;
  constexpr int ROWS = TILE_ROWS / (WARP / Q_LANES);
  const int first_row = threadIdx.x / WARP * TILE_ROWS + lane / Q_LANES * ROWS;
  typename State::Piece pieces[ROWS];
#pragma unroll
  for (int row = 0; row < ROWS; row++) pieces[row] = State::load(state + (first_row + row) * STATE_DIM, q);
#pragma unroll 1
  for (int i = first; i < end; i += 2) {
    Span<Element> span;
    decltype(Reader<State, Element>(span).dot(pieces[0], nullptr)) parts[Q_LANES];
    static_assert(Q_LANES == 2 * ROWS, "two tokens at once");
#pragma unroll
    for (int next = 0; next < 2; next++) {
      span.template load<ALIGNED>(c_at(min(i + next, end - 1)), State::first(q), State::second(q));
      const Reader<State, Element> c(span);
#pragma unroll
      for (int row = 0; row < ROWS; row++) {
        parts[next * ROWS + row] =
            c.dot(pieces[row], element_scales + (first_row + row) * STATE_DIM + State::first(q));
      }
    }
    const float sum = static_cast<float>(transposed_sum(parts));
    if (i + q / ROWS < end) sh.held[i + q / ROWS][first_row + q % ROWS] = sum;
  }
}

template <class State, class Element, bool ALIGNED>
__device__ void walk(Chunk<Element>& sh, const int* slots, const int* starts, const int* positions, const Heads& heads,
                     const Inputs<Element>& in, signed char* state, int state_stride, const float* state_scale,
                     float* out, int out_stride) {
  const int row = blockIdx.y;
  const int head = blockIdx.x;
  const int group = head / heads.per_group;
  const int warp = threadIdx.x / WARP;
  const int lane = threadIdx.x % WARP;
  const Slot<State, Element> slot(state, state_stride, slots[row], heads.count);
  const size_t first_row = static_cast<size_t>(head) * HEAD_DIM;
  typename State::Element* head_state = slot.state + first_row * STATE_DIM;
  float* row_scales = slot.scales + first_row;
  const float* head_scale = State::ELEMENT_SCALES ? state_scale + first_row * STATE_DIM : nullptr;
  const Element* bs = slot.bs + group * INTERVAL * STATE_DIM;
  Element* xs = slot.xs + first_row * INTERVAL;
  float* steps = slot.steps + head * INTERVAL;
  const float a = heads.a[head];
  const float skip = heads.skip[head];
  const float b_scale = scale_of(in.b_scale, in.b_scale_step, group * STATE_DIM);
  const float c_scale = scale_of(in.c_scale, in.c_scale_step, group * STATE_DIM);

  int position = positions[row];
  int token = starts[row];
  const int tokens_end = starts[row + 1];
  while (token < tokens_end) {
    const int begin = position % INTERVAL;
    const int end = min(begin + tokens_end - token, INTERVAL);
    const bool fresh = position < INTERVAL;
    const bool last = end == INTERVAL;
    const int base = token - begin;  // token of entry 0, were it in this call
    const auto b_at = [&](int entry) -> const Element* {
      return entry < begin ? bs + entry * STATE_DIM
                           : in.b + static_cast<size_t>(base + entry) * in.b_stride + group * STATE_DIM;
    };
    const auto c_at = [&](int entry) -> const Element* {
      return in.c + static_cast<size_t>(base + entry) * in.c_stride + group * STATE_DIM;
    };
    __syncthreads();  // the readers of the chunk before are done
#pragma unroll
    for (int entry = warp; entry < INTERVAL; entry += BLOCK_WARPS) {
      if (entry < end) {
        Pair<Element> x;
        const Element* own = in.x + static_cast<size_t>(base + entry) * in.x_stride + first_row;
        x.template load<ALIGNED>((entry < begin ? xs + entry * HEAD_DIM : own) + 2 * lane);
        *reinterpret_cast<float2*>(&sh.x[entry][2 * lane]) = x.values();
        if (!last && entry >= begin) x.store(xs + entry * HEAD_DIM + 2 * lane);
      }
    }
    if (last) put_b<State, ALIGNED>(sh.b, b_at);
    float dt = lane < begin ? steps[lane % INTERVAL] : 0;
    if (lane >= begin && lane < end) dt = heads.step(in, base + lane, head);
    __syncwarp();
    if (!last && warp == 0 && lane >= begin && lane < end) steps[lane] = dt;
    const float decay = expf(dt * a);
    for (int i = begin + warp; i < end; i += BLOCK_WARPS) {
      Span<Element> c;
      c.template load<ALIGNED>(c_at(i), State::first(lane % Q_LANES), State::second(lane % Q_LANES));
      const float b_dot = static_cast<float>(ring_dots<State, ALIGNED>(b_at, c, i)) * (b_scale * c_scale);
      const float until = decay_until(decay, i);
      const float weight = until * dt;
      if (lane < INTERVAL) sh.factors[i][lane] = fmaf(weight, b_dot, lane == i ? skip : 0);
      if (lane == INTERVAL) sh.from_state[i] = until;
      if (i == INTERVAL - 1 && lane < INTERVAL) sh.into_state[lane] = weight * b_scale;
    }
    if (!fresh) read_state_for_tokens<State, ALIGNED>(sh, head_state, head_scale, c_at, begin, end);
    __syncthreads();
    if (last) {
#pragma unroll
      for (int j = warp; j < INTERVAL; j += BLOCK_WARPS) {
        const int column = head * HEAD_DIM + 2 * lane;
        const float2 x = *reinterpret_cast<const float2*>(&sh.x[j][2 * lane]);
        const float2 x_scale = {scale_of(in.x_scale, in.x_scale_step, column),
                                scale_of(in.x_scale, in.x_scale_step, column + 1)};
        *reinterpret_cast<float2*>(&sh.weighted[j][2 * lane]) = {x.x * x_scale.x * sh.into_state[j],
                                                                x.y * x_scale.y * sh.into_state[j]};
      }
    }
    for (int i = begin + warp; i < end; i += BLOCK_WARPS) {
      const int column = head * HEAD_DIM + 2 * lane;
      float2 sum = {0, 0};
      for (int j = 0; j <= i; j++) {
        const float factor = sh.factors[i][j];
        const float2 value = *reinterpret_cast<const float2*>(&sh.x[j][2 * lane]);
        sum = {fmaf(factor, value.x, sum.x), fmaf(factor, value.y, sum.y)};
      }
      float2 held = {0, 0};
      float2 row_scale = {1, 1};
      if (!fresh) {
        held = *reinterpret_cast<const float2*>(&sh.held[i][2 * lane]);
        if (State::ROW_SCALES) row_scale = *reinterpret_cast<const float2*>(row_scales + 2 * lane);
      }
      const float2 x_scale = {scale_of(in.x_scale, in.x_scale_step, column),
                              scale_of(in.x_scale, in.x_scale_step, column + 1)};
      const float state_scale = sh.from_state[i] * c_scale;
      const float2 y = {fmaf(held.x, state_scale * row_scale.x, sum.x * x_scale.x),
                        fmaf(held.y, state_scale * row_scale.y, sum.y * x_scale.y)};
      float* own = out + static_cast<size_t>(base + i) * out_stride + column;
      if (ALIGNED) {
        *reinterpret_cast<float2*>(own) = y;
      } else {
        own[0] = y.x, own[1] = y.y;
      }
    }
    if (last) {
      __syncthreads();  // weighted is complete, and nobody reads the old scales of rows any more
      round_tiles<State, Element>(head_state, row_scales, head_scale, sh.from_state[INTERVAL - 1], fresh, sh.b,
                                  sh.weighted, warp, warp + 1);
    }
    position += end - begin;
    token += end - begin;
  }
}

template <class State, class Element>
__device__ void chunk(const int* slots, const int* starts, const int* positions, const Heads& heads,
                      const Inputs<Element>& in, signed char* state, int state_stride, const float* state_scale,
                      float* out, int out_stride, int aligned) {
  if constexpr (State::ROW_SCALES && sizeof(Element) == 1) {
    __shared__ CodesChunk sh;
    const size_t places = reinterpret_cast<size_t>(in.x) | in.x_stride | reinterpret_cast<size_t>(in.b) | in.b_stride |
                          reinterpret_cast<size_t>(in.c) | in.c_stride;
    if (!aligned) {
      walk_codes<1>(sh, slots, starts, positions, heads, in, state, state_stride, out, out_stride);
    } else if (places % 16 != 0) {
      walk_codes<8>(sh, slots, starts, positions, heads, in, state, state_stride, out, out_stride);
    } else {
      walk_codes<16>(sh, slots, starts, positions, heads, in, state, state_stride, out, out_stride);
    }
  } else {
    __shared__ Chunk<Element> sh;
    if (aligned) {
      walk<State, Element, true>(sh, slots, starts, positions, heads, in, state, state_stride, state_scale, out,
                                 out_stride);
    } else {
      walk<State, Element, false>(sh, slots, starts, positions, heads, in, state, state_stride, state_scale, out,
                                  out_stride);
    }
  }
}

template <class State, class Element>
__device__ void keep(const int* slots, const int* starts, const int* positions, const Element* b, int b_stride,
                     signed char* state, int state_stride, int heads) {
  const int row = blockIdx.y;
  const Slot<State, Element> slot(state, state_stride, slots[row], heads);
  Element* bs = slot.bs + blockIdx.x * INTERVAL * STATE_DIM;
  const int end = starts[row + 1];
  const int known = (positions[row] + end - starts[row]) % INTERVAL;
  for (int entry = max(0, known - (end - starts[row])); entry < known; entry++) {
    bs[entry * STATE_DIM + threadIdx.x] =
        b[static_cast<size_t>(end - known + entry) * b_stride + blockIdx.x * STATE_DIM + threadIdx.x];
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, WALK_BLOCKS)
scan_chunk_i8_row_f32(const int* slots, const int* starts, const int* positions, const float* a, const float* dt_bias,
                      const float* skip, const signed char* x, int x_stride, const float* x_scale, int x_scale_step,
                      const void* dt, int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b,
                      int b_stride, const float* b_scale, int b_scale_step, const signed char* c, int c_stride,
                      const float* c_scale, int c_scale_step, signed char* state, int state_stride,
                      const float* state_scale, float* out, int out_stride, int heads, int heads_per_group, int aligned,
                      float dt_min, float dt_max) {
  chunk<RowState, signed char>(
      slots, starts, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, state_scale, out, out_stride, aligned);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_chunk_f32_row_f32(const int* slots, const int* starts, const int* positions, const float* a, const float* dt_bias,
                       const float* skip, const float* x, int x_stride, const float* dt, int dt_stride, const float* b,
                       int b_stride, const float* c, int c_stride, signed char* state, int state_stride,
                       const float* state_scale, float* out, int out_stride, int heads, int heads_per_group,
                       int aligned, float dt_min, float dt_max) {
  chunk<RowState, float>(
      slots, starts, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, state_scale, out, out_stride, aligned);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_chunk_i8_i8_f32(const int* slots, const int* starts, const int* positions, const float* a, const float* dt_bias,
                     const float* skip, const signed char* x, int x_stride, const float* x_scale, int x_scale_step,
                     const void* dt, int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b,
                     int b_stride, const float* b_scale, int b_scale_step, const signed char* c, int c_stride,
                     const float* c_scale, int c_scale_step, signed char* state, int state_stride,
                     const float* state_scale, float* out, int out_stride, int heads, int heads_per_group, int aligned,
                     float dt_min, float dt_max) {
  chunk<StaticState, signed char>(
      slots, starts, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, state_scale, out, out_stride, aligned);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_chunk_f32_i8_f32(const int* slots, const int* starts, const int* positions, const float* a, const float* dt_bias,
                      const float* skip, const float* x, int x_stride, const float* dt, int dt_stride, const float* b,
                      int b_stride, const float* c, int c_stride, signed char* state, int state_stride,
                      const float* state_scale, float* out, int out_stride, int heads, int heads_per_group, int aligned,
                      float dt_min, float dt_max) {
  chunk<StaticState, float>(
      slots, starts, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, state_scale, out, out_stride, aligned);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_chunk_i8_f16_f32(const int* slots, const int* starts, const int* positions, const float* a, const float* dt_bias,
                      const float* skip, const signed char* x, int x_stride, const float* x_scale, int x_scale_step,
                      const void* dt, int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b,
                      int b_stride, const float* b_scale, int b_scale_step, const signed char* c, int c_stride,
                      const float* c_scale, int c_scale_step, signed char* state, int state_stride,
                      const float* state_scale, float* out, int out_stride, int heads, int heads_per_group, int aligned,
                      float dt_min, float dt_max) {
  chunk<HalfState, signed char>(
      slots, starts, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, state_scale, out, out_stride, aligned);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_chunk_f32_f16_f32(const int* slots, const int* starts, const int* positions, const float* a, const float* dt_bias,
                       const float* skip, const float* x, int x_stride, const float* dt, int dt_stride, const float* b,
                       int b_stride, const float* c, int c_stride, signed char* state, int state_stride,
                       const float* state_scale, float* out, int out_stride, int heads, int heads_per_group,
                       int aligned, float dt_min, float dt_max) {
  chunk<HalfState, float>(
      slots, starts, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, state_scale, out, out_stride, aligned);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_keep_row_i8(const int* slots, const int* starts, const int* positions, const signed char* b, int b_stride,
                 signed char* state, int state_stride, int heads) {
  keep<RowState, signed char>(slots, starts, positions, b, b_stride, state, state_stride, heads);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_keep_row_f32(const int* slots, const int* starts, const int* positions, const float* b, int b_stride,
                  signed char* state, int state_stride, int heads) {
  keep<RowState, float>(slots, starts, positions, b, b_stride, state, state_stride, heads);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_keep_i8_i8(const int* slots, const int* starts, const int* positions, const signed char* b, int b_stride,
                signed char* state, int state_stride, int heads) {
  keep<StaticState, signed char>(slots, starts, positions, b, b_stride, state, state_stride, heads);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_keep_i8_f32(const int* slots, const int* starts, const int* positions, const float* b, int b_stride,
                 signed char* state, int state_stride, int heads) {
  keep<StaticState, float>(slots, starts, positions, b, b_stride, state, state_stride, heads);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_keep_f16_i8(const int* slots, const int* starts, const int* positions, const signed char* b, int b_stride,
                 signed char* state, int state_stride, int heads) {
  keep<HalfState, signed char>(slots, starts, positions, b, b_stride, state, state_stride, heads);
}

extern "C" __global__ void __launch_bounds__(THREADS)
scan_keep_f16_f32(const int* slots, const int* starts, const int* positions, const float* b, int b_stride,
                  signed char* state, int state_stride, int heads) {
  keep<HalfState, float>(slots, starts, positions, b, b_stride, state, state_stride, heads);
}
