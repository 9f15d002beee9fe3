// linear of codes: out = f32(sum of code * code) * row_scale * x_scale
//
//   weight      (out_dim, in) i8, packed as device.cuh says: (panels, groups, PANEL, 16)
//   row_scales  (out_dim)     f32
//   x           (n, in)       i8, any row stride
//   x_scale     (1)           f32
//   out         (n, out_dim)  f32; or codes with scales, ties to even; apart from x
//
// Entry points, at the end: linear_few_i8_i8_f32, linear_few_i8_i8_i8 for up to 8 rows, linear_i8_i8_f32,
// linear_i8_i8_i8 for any. Devices of sm_90a have linear_codes_few, linear_codes_sliced and linear_codes_wide instead.
//
// Sums are integers: exact, so that their order is free. The weight is the left side of mma.m16n8k32, which makes 8 rows
// of x the least that a block works on. A lane takes 16 neighbouring codes of each operand at once, which fill its
// registers of two mma: not the k that the instruction names, but the same k on both sides.
#include <cstdint>

#include "codes.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int LINEAR_FEW_ROWS = 8;     // also in CudaLinear
constexpr int LINEAR_CODES_ROWS = 64;  // also in CudaLinear

constexpr int GROUP = GROUP_BYTES;  // codes
constexpr int MMA_OUTPUTS = 16;
constexpr int MMA_ROWS = 8;
constexpr int QUAD = 4;                        // lanes that share an output of the weight, and a row of x
constexpr int TILES = PANEL / MMA_OUTPUTS;     // of a panel, a warp each
constexpr int SPLIT = THREADS / WARP / TILES;  // warps that share a tile, each with its part of the inputs
constexpr int SUMS_PITCH = PANEL + 4;          // lanes of a warp write to different banks

// sums (16 outputs, 8 rows) += weight (16, 32) * x (8, 32)^T
inline __device__ void mma(int (&sums)[4], unsigned w0, unsigned w1, unsigned w2, unsigned w3, unsigned x0,
                           unsigned x1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(w0), "r"(w1), "r"(w2), "r"(w3), "r"(x0), "r"(x1));
}

// GROUP codes of a row of x from i on, zeros past its end.
inline __device__ uint4 load_group(const signed char* x_gl_rd, int i, int in, bool aligned) {
  if (aligned && i + GROUP <= in) return *reinterpret_cast<const uint4*>(x_gl_rd + i);
  unsigned words[4] = {};
#pragma unroll
  for (int k = 0; k < GROUP; k++) {
    const unsigned code = i + k < in ? static_cast<unsigned char>(x_gl_rd[i + k]) : 0;
    words[k / 4] |= code << k % 4 * 8;
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

// ROWS rows by one panel. STEPS pairs of mma, of 64 inputs, are between two barriers.
template <int ROWS, int STEPS, typename T>
__device__ void linear_codes(const uint4* weight, const float* row_scales, const signed char* x, int x_stride,
                             float x_scale, Results<T> out, int n, int in, int out_dim) {
  constexpr int STAGE = SPLIT * STEPS * QUAD;  // groups
  __shared__ uint4 x_sh[ROWS][STAGE + QUAD];   // lanes of a quarter warp read from different banks
  __shared__ int sums_sh[ROWS][SUMS_PITCH];
  const int groups = (in + GROUP - 1) / GROUP;
  const int panel = blockIdx.x;
  const int first_row = blockIdx.y * ROWS;
  const int warp = threadIdx.x / WARP;
  const int tile = warp % TILES;
  const int part = warp / TILES;
  const int place = threadIdx.x % WARP / QUAD;  // output in the tile, and row of x
  const int in_quad = threadIdx.x % QUAD;
  const bool aligned = (reinterpret_cast<uintptr_t>(x) | x_stride) % sizeof(uint4) == 0;
  const uint4* w_gl_rd = weight + static_cast<size_t>(panel) * groups * PANEL + tile * MMA_OUTPUTS + place;
  int sums[ROWS / MMA_ROWS][4] = {};

  for (int stage = 0; stage < groups; stage += STAGE) {
    const uint4 zeros = make_uint4(0, 0, 0, 0);
    uint4 w[STEPS][2];
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
      const int group = stage + (part * STEPS + step) * QUAD + in_quad;
      const bool there = group < groups;
      w[step][0] = there ? w_gl_rd[static_cast<size_t>(group) * PANEL] : zeros;
      w[step][1] = there ? w_gl_rd[static_cast<size_t>(group) * PANEL + MMA_OUTPUTS / 2] : zeros;
    }
#pragma unroll
    for (int i = threadIdx.x; i < ROWS * STAGE; i += THREADS) {
      const int row = first_row + i / STAGE;
      const int group = stage + i % STAGE;
      const signed char* x_gl_rd = x + static_cast<size_t>(row) * x_stride;
      x_sh[i / STAGE][i % STAGE] = row < n ? load_group(x_gl_rd, group * GROUP, in, aligned) : zeros;
    }
    __syncthreads();
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
      const uint4 upper = w[step][0];
      const uint4 lower = w[step][1];
#pragma unroll
      for (int r = 0; r < ROWS / MMA_ROWS; r++) {
        const uint4 codes = x_sh[r * MMA_ROWS + place][(part * STEPS + step) * QUAD + in_quad];
        mma(sums[r], upper.x, lower.x, upper.y, lower.y, codes.x, codes.y);
        mma(sums[r], upper.z, lower.z, upper.w, lower.w, codes.z, codes.w);
      }
    }
    __syncthreads();
  }

  // The last part's sums go to shared memory, the others are added there, and all leave from there as whole rows.
  for (int turn = SPLIT - 1; turn >= 0; turn--) {
    if (part == turn) {
#pragma unroll
      for (int r = 0; r < ROWS / MMA_ROWS; r++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int output = tile * MMA_OUTPUTS + i / 2 * (MMA_OUTPUTS / 2) + place;
          int* sum = &sums_sh[r * MMA_ROWS + in_quad * 2 + i % 2][output];
          *sum = turn == SPLIT - 1 ? sums[r][i] : *sum + sums[r][i];
        }
      }
    }
    __syncthreads();
  }
  for (int i = threadIdx.x; i < ROWS * PANEL; i += THREADS) {
    const int row = first_row + i / PANEL;
    const int column = panel * PANEL + i % PANEL;
    if (row < n && column < out_dim) {
      const float sum = __int2float_rn(sums_sh[i / PANEL][i % PANEL]);
      out.put_even(row, column, __fmul_rn(__fmul_rn(sum, row_scales[column]), x_scale));
    }
  }
}

// ---------------------------------------------------------------- entry points

// Grid (panels, ceil(n / rows of a block)). With few rows the weight's latency is the cost: more of it is under way.

constexpr int FEW_STEPS = 4;
constexpr int STEPS = 2;

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scales,
                     const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                     float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  linear_codes<LINEAR_FEW_ROWS, FEW_STEPS, float>(reinterpret_cast<const uint4*>(weight), row_scales, x, x_stride,
                                                  *x_scale, {out, out_stride}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scales,
                    const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                    signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                    int out_scale_step, int n, int in, int out_dim) {
  linear_codes<LINEAR_FEW_ROWS, FEW_STEPS, signed char>(reinterpret_cast<const uint4*>(weight), row_scales, x,
                                                        x_stride, *x_scale,
                                                        {out, out_stride, out_scale, out_scale_step}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_i8_i8_f32(const signed char* __restrict__ weight, const float* __restrict__ row_scales,
                 const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                 float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  linear_codes<LINEAR_CODES_ROWS, STEPS, float>(reinterpret_cast<const uint4*>(weight), row_scales, x, x_stride,
                                                *x_scale, {out, out_stride}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_i8_i8_i8(const signed char* __restrict__ weight, const float* __restrict__ row_scales,
                const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                int out_scale_step, int n, int in, int out_dim) {
  linear_codes<LINEAR_CODES_ROWS, STEPS, signed char>(reinterpret_cast<const uint4*>(weight), row_scales, x, x_stride,
                                                      *x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                                                      out_dim);
}
