// scan: one token of each row, for Mamba2 with head_dim 64, state_dim 128 and a state that is rounded and replayed
//
// The formulas, and how a slot lies, stand in scan_ring.cuh. Row r of a batch is token r.
//
//   slots, positions  (rows)  i32
//   a, dt_bias, skip  (heads) f32
//   x                 (rows, heads * 64) f32, or codes with scales
//   dt                (rows, heads) f32 if dt_scale is null, else codes; f32 where x is
//   b, c              (rows, groups * 128) as x, the scales of codes equal within a group
//   state             (slots, state_stride) bytes, updated
//   state_scale       (heads, 64, 128) f32, read only for static scales
//   out               (rows, heads * 64) f32; may be x
//
// x, b and c begin at, and have strides of, multiples of eight codes or of four numbers; out of two.
// Entry points, at the end, input i8 or f32: scan_decode_input_row_f32 for a row-scaled state, scan_decode_input_i8_f32
// for static scales, scan_decode_input_f16_f32. Grid (ceil(heads_per_group / heads_per_block), groups,
// rows + split_rows * (split_ways - 1)); split_rows, split_ways, and heads_per_block of at most 128, do not show in the
// results.
#include "scan_decode_codes.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;
static_assert(THREADS == DECODE_THREADS, "a block a row and some heads");

template <class State, class Element>
__device__ void decode(const int* slots, const int* positions, const Heads& heads, const Inputs<Element>& in,
                       signed char* state, int state_stride, const float* state_scale, float* out, int out_stride,
                       const Split& split, int heads_per_block) {
  __shared__ DecodeShared<Element> sh;
  begin_next();
  if (Place::is_empty(positions, split)) return;
  const Place place(slots, positions, split, heads_per_block);
  const Slot<State, Element> slot(state, state_stride, place.slot, heads.count);
  await_before();
  if (place.is_last) {
    decode_part<State, Element, true>(sh, place, blockIdx.y, slot, heads, in, state_scale, out, out_stride);
  } else {
    decode_part<State, Element, false>(sh, place, blockIdx.y, slot, heads, in, state_scale, out, out_stride);
  }
}

template <>
__device__ void decode<RowState, signed char>(const int* slots, const int* positions, const Heads& heads,
                                              const Inputs<signed char>& in, signed char* state, int state_stride,
                                              const float*, float* out, int out_stride, const Split& split,
                                              int heads_per_block) {
  __shared__ union {
    CodesShared codes;
    DecodeShared<signed char> last;
  } sh;
  begin_next();
  if (Place::is_empty(positions, split)) return;
  const Place place(slots, positions, split, heads_per_block);
  const Slot<RowState, signed char> slot(state, state_stride, place.slot, heads.count);
  if (place.is_last) {
    await_before();
    decode_part<RowState, signed char, true>(sh.last, place, blockIdx.y, slot, heads, in, nullptr, out, out_stride);
  } else {
    decode_codes(sh.codes, place.part, blockIdx.y, place.row, place.position, slot, heads, in, out, out_stride,
                 place.heads);
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS, CODES_BLOCKS)
scan_decode_i8_row_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                       const signed char* x, int x_stride, const float* x_scale, int x_scale_step, const void* dt,
                       int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                       const float* b_scale, int b_scale_step, const signed char* c, int c_stride, const float* c_scale,
                       int c_scale_step, signed char* state, int state_stride, const float* state_scale, float* out,
                       int out_stride, int heads, int heads_per_group,
                       int split_rows, int split_ways, int heads_per_block, float dt_min, float dt_max) {
  decode<RowState, signed char>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, state_scale, out, out_stride, {split_rows, split_ways}, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_f32_row_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                        const float* x, int x_stride, const float* dt, int dt_stride, const float* b, int b_stride,
                        const float* c, int c_stride, signed char* state, int state_stride, const float* state_scale,
                        float* out, int out_stride, int heads, int heads_per_group,
                        int split_rows, int split_ways, int heads_per_block, float dt_min, float dt_max) {
  decode<RowState, float>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, state_scale, out, out_stride, {split_rows, split_ways}, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, STATIC_BLOCKS)
scan_decode_i8_i8_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                      const signed char* x, int x_stride, const float* x_scale, int x_scale_step, const void* dt,
                      int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                      const float* b_scale, int b_scale_step, const signed char* c, int c_stride, const float* c_scale,
                      int c_scale_step, signed char* state, int state_stride, const float* state_scale, float* out,
                      int out_stride, int heads, int heads_per_group,
                      int split_rows, int split_ways, int heads_per_block, float dt_min, float dt_max) {
  decode<StaticState, signed char>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, state_scale, out, out_stride, {split_rows, split_ways}, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_f32_i8_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                       const float* x, int x_stride, const float* dt, int dt_stride, const float* b, int b_stride,
                       const float* c, int c_stride, signed char* state, int state_stride, const float* state_scale,
                       float* out, int out_stride, int heads, int heads_per_group,
                       int split_rows, int split_ways, int heads_per_block, float dt_min, float dt_max) {
  decode<StaticState, float>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, state_scale, out, out_stride, {split_rows, split_ways}, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_i8_f16_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                       const signed char* x, int x_stride, const float* x_scale, int x_scale_step, const void* dt,
                       int dt_stride, const float* dt_scale, int dt_scale_step, const signed char* b, int b_stride,
                       const float* b_scale, int b_scale_step, const signed char* c, int c_stride, const float* c_scale,
                       int c_scale_step, signed char* state, int state_stride, const float* state_scale, float* out,
                       int out_stride, int heads, int heads_per_group,
                       int split_rows, int split_ways, int heads_per_block, float dt_min, float dt_max) {
  decode<HalfState, signed char>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, x_scale, x_scale_step, dt, dt_stride, dt_scale, dt_scale_step, b, b_stride, b_scale, b_scale_step,
       c, c_stride, c_scale, c_scale_step},
      state, state_stride, state_scale, out, out_stride, {split_rows, split_ways}, heads_per_block);
}

extern "C" __global__ void __launch_bounds__(THREADS, MOST_BLOCKS)
scan_decode_f32_f16_f32(const int* slots, const int* positions, const float* a, const float* dt_bias, const float* skip,
                        const float* x, int x_stride, const float* dt, int dt_stride, const float* b, int b_stride,
                        const float* c, int c_stride, signed char* state, int state_stride, const float* state_scale,
                        float* out, int out_stride, int heads, int heads_per_group,
                        int split_rows, int split_ways, int heads_per_block, float dt_min, float dt_max) {
  decode<HalfState, float>(
      slots, positions, {a, dt_bias, skip, heads, heads_per_group, dt_min, dt_max},
      {x, x_stride, nullptr, 0, dt, dt_stride, nullptr, 0, b, b_stride, nullptr, 0, c, c_stride, nullptr, 0},
      state, state_stride, state_scale, out, out_stride, {split_rows, split_ways}, heads_per_block);
}
