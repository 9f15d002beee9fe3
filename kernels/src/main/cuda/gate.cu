// gate: out = y * silu(z) (Mamba1), or norm(y * silu(z)) over each of groups equal parts of a row (Mamba2)
//
//   y       (n, inner_dim) f32
//   z       (n, inner_dim) f32, or codes with scales
//   weight  (inner_dim)    f32, of the norm
//   out     (n, inner_dim) f32, may be y; or codes with scales, ties to even
//
// Entry points, at the end: gate_f32_f32, gate_f32_i8, gate_i8_f32, gate_i8_i8 and the same of gate_norm: dtypes of z
// and out.
#include "gate.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int HELD = 5;  // fours of a thread in registers, between the two passes of a norm

// Four of y * silu(z), of a row each; `values` says what z is worth.
template <bool ALIGNED, typename Z>
__device__ Gated gated_of(const float* y, const Z* z, const Values<Z>& values, int column, int count) {
  return Gated::of(GateInputs<Z>::template read<ALIGNED>(y, z, column, count),
                   Units<Z>::template read<ALIGNED>(values, column, count));
}

// A thread a four: grid (n, ceil(inner_dim / (THREADS * FOUR))).
template <bool ALIGNED, typename Z, typename T>
__device__ void gate_four(const float* y, const Values<Z>& z, const Results<T>& out, int inner_dim) {
  const int column = (blockIdx.y * THREADS + threadIdx.x) * FOUR;
  const int count = inner_dim - column;
  if (count <= 0) return;
  const Z* z_row = z.at + static_cast<size_t>(blockIdx.x) * z.stride;
  const Gated gated = gated_of<ALIGNED>(y, z_row, z, column, count);
  Rounding<T>::template read<ALIGNED>(out, column, count)
      .even(gated.at)
      .template write<ALIGNED>(out.at + static_cast<size_t>(blockIdx.x) * out.stride + column, count);
}

template <typename Z, typename T>
__device__ void gate(const float* y, int y_stride, const Values<Z>& z, const Results<T>& out, int inner_dim) {
  const bool aligned = in_fours(y, y_stride) && in_fours(z) && in_fours(out) &&
                       inner_dim % FOUR == 0;
  y += static_cast<size_t>(blockIdx.x) * y_stride;
  if (aligned) {
    gate_four<true, Z, T>(y, z, out, inner_dim);
  } else {
    gate_four<false, Z, T>(y, z, out, inner_dim);
  }
}

template <bool ALIGNED, typename T>
__device__ void put(Gated gated, float scale, const Four<float>& weight, const Results<T>& out, T* to, int column,
                    int count) {
#pragma unroll
  for (int k = 0; k < FOUR; k++) gated.at[k] = gated.at[k] * scale * weight.raw(k);
  Rounding<T>::template read<ALIGNED>(out, column, count)
      .even(gated.at)
      .template write<ALIGNED>(to + column, count);
}

// A block a group: grid (n, groups), inner_dim = groups * width. What is not in registers is computed again: codes
// leave no room for it. A thread reads only where it writes.
template <bool ALIGNED, typename Z, typename T>
__device__ void gate_norm_group(const float* y, const Values<Z>& z, const float* weight, const Results<T>& out,
                                int width, float epsilon) {
  const int first = blockIdx.y * width;
  const int end = first + width;
  const int own = first + threadIdx.x * FOUR;
  constexpr int STEP = THREADS * FOUR;
  const Z* z_row = z.at + static_cast<size_t>(blockIdx.x) * z.stride;
  T* to = out.at + static_cast<size_t>(blockIdx.x) * out.stride;
  GateInputs<Z> inputs[HELD];
  Gated gated[HELD];
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int column = own + j * STEP;
    inputs[j] = {};
    if (column < end) inputs[j] = GateInputs<Z>::template read<ALIGNED>(y, z_row, column, end - column);
  }
  float squares = 0;
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int column = own + j * STEP;
    gated[j] = {};
    if (column < end) gated[j] = Gated::of(inputs[j], Units<Z>::template read<ALIGNED>(z, column, end - column));
    gated[j].add_squares(squares);
  }
  for (int column = own + HELD * STEP; column < end; column += STEP) {
    const int count = end - column;
    gated_of<ALIGNED>(y, z_row, z, column, count).add_squares(squares);
  }
  const float scale = 1 / sqrtf(block_sum<THREADS>(squares) / width + epsilon);
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    const int column = own + j * STEP;
    const int count = end - column;
    if (count > 0) {
      put<ALIGNED, T>(gated[j], scale, Four<float>::read<ALIGNED>(weight + column, count), out, to, column, count);
    }
  }
  for (int column = own + HELD * STEP; column < end; column += STEP) {
    const int count = end - column;
    const Gated again = gated_of<ALIGNED>(y, z_row, z, column, count);
    put<ALIGNED, T>(again, scale, Four<float>::read<ALIGNED>(weight + column, count), out, to, column, count);
  }
}

template <typename Z, typename T>
__device__ void gate_norm(const float* y, int y_stride, const Values<Z>& z, const float* weight, const Results<T>& out,
                          int width, float epsilon) {
  const bool aligned = in_fours(y, y_stride) && in_fours(z) && in_fours(out) &&
                       in_fours(weight, width);
  y += static_cast<size_t>(blockIdx.x) * y_stride;
  if (aligned) {
    gate_norm_group<true, Z, T>(y, z, weight, out, width, epsilon);
  } else {
    gate_norm_group<false, Z, T>(y, z, weight, out, width, epsilon);
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS)
gate_f32_f32(const float* y, int y_stride, const float* z, int z_stride, float* out, int out_stride, int inner_dim) {
  gate<float, float>(y, y_stride, {z, z_stride}, {out, out_stride}, inner_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_f32_i8(const float* y, int y_stride, const float* z, int z_stride, signed char* out, int out_stride,
            const float* out_scale, int out_scale_step, int inner_dim) {
  gate<float, signed char>(y, y_stride, {z, z_stride}, {out, out_stride, out_scale, out_scale_step},
                                   inner_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_i8_f32(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale, int z_scale_step,
            float* out, int out_stride, int inner_dim) {
  gate<signed char, float>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, {out, out_stride}, inner_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_i8_i8(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale, int z_scale_step,
           signed char* out, int out_stride, const float* out_scale, int out_scale_step, int inner_dim) {
  gate<signed char, signed char>(y, y_stride, {z, z_stride, z_scale, z_scale_step},
                              {out, out_stride, out_scale, out_scale_step}, inner_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_norm_f32_f32(const float* y, int y_stride, const float* z, int z_stride, const float* weight, float* out,
                  int out_stride, int width, float epsilon) {
  gate_norm<float, float>(y, y_stride, {z, z_stride}, weight, {out, out_stride}, width, epsilon);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_norm_f32_i8(const float* y, int y_stride, const float* z, int z_stride, const float* weight, signed char* out,
                 int out_stride, const float* out_scale, int out_scale_step, int width, float epsilon) {
  gate_norm<float, signed char>(y, y_stride, {z, z_stride}, weight,
                                      {out, out_stride, out_scale, out_scale_step}, width, epsilon);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_norm_i8_f32(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                 int z_scale_step, const float* weight, float* out, int out_stride, int width, float epsilon) {
  gate_norm<signed char, float>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, weight, {out, out_stride},
                                      width, epsilon);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate_norm_i8_i8(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                int z_scale_step, const float* weight, signed char* out, int out_stride, const float* out_scale,
                int out_scale_step, int width, float epsilon) {
  gate_norm<signed char, signed char>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, weight,
                                            {out, out_stride, out_scale, out_scale_step}, width, epsilon);
}
