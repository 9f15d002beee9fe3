// linear: out = x * weight^T
//
//   weight  (out_dim, in) f32, packed as device.cuh says: (panels, groups, PANEL, GROUP)
//   x       (n, in)       f32, any row stride
//   out     (n, out_dim)  f32, apart from x
//
// Entry point, at the end: linear_f32_f32_f32, for all sizes. Codes have linear_codes.cu.
//
// A block computes LINEAR_ROWS rows by one panel of outputs, a thread 4 by 4 of them, 16 apart so that the lanes of a
// warp read neighbouring 16 bytes of shared memory. Each output is one chain of fused multiply-adds over in, first to
// last: its bits depend neither on n nor on the row's place in the tile.
#include "device.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int LINEAR_ROWS = 64;  // also in CudaLinear
constexpr int GROUP = GROUP_BYTES / sizeof(float);
constexpr int TILE_GROUPS = 4;   // 16 inputs
constexpr int SIDE = 16;         // threads along rows, and along outputs
constexpr int EACH = 4;          // rows, and outputs, of a thread

// GROUP elements of a row of x from i on, zeros past its end. x may be a column view: no alignment is known.
inline __device__ float4 load_group(const float* x_gl_rd, int i, int in) {
  float4 group;
  group.x = i < in ? x_gl_rd[i] : 0;
  group.y = i + 1 < in ? x_gl_rd[i + 1] : 0;
  group.z = i + 2 < in ? x_gl_rd[i + 2] : 0;
  group.w = i + 3 < in ? x_gl_rd[i + 3] : 0;
  return group;
}

inline __device__ float dot_onto(float4 x, float4 w, float sum) {
  return fmaf(x.w, w.w, fmaf(x.z, w.z, fmaf(x.y, w.y, fmaf(x.x, w.x, sum))));
}

inline __device__ void linear_tile(const float4* weight, const float* x, int x_stride, float* out, int out_stride,
                                   int n, int in, int out_dim) {
  __shared__ float4 w_sh[TILE_GROUPS][PANEL];
  __shared__ float4 x_sh[LINEAR_ROWS][TILE_GROUPS + 1];  // a column more, against bank conflicts
  const int groups = (in + GROUP - 1) / GROUP;
  const int panel = blockIdx.x;
  const int first_row = blockIdx.y * LINEAR_ROWS;
  const int w_sh_column = threadIdx.x % SIDE;
  const int x_sh_row = threadIdx.x / SIDE;
  // Copying, each thread carries one group of x and one of the weight.
  const int x_copy_row = threadIdx.x / TILE_GROUPS;
  const int x_copy_group = threadIdx.x % TILE_GROUPS;
  const bool x_copies = first_row + x_copy_row < n;
  const float* x_gl_rd = x + static_cast<size_t>(x_copies ? first_row + x_copy_row : 0) * x_stride;
  const float4* w_gl_rd = weight + static_cast<size_t>(panel) * groups * PANEL;
  float sums[EACH][EACH] = {};

  for (int group = 0; group < groups; group += TILE_GROUPS) {
    const int w_at = group * PANEL + threadIdx.x;
    const float4 zeros = make_float4(0, 0, 0, 0);
    w_sh[threadIdx.x / PANEL][threadIdx.x % PANEL] = w_at < groups * PANEL ? w_gl_rd[w_at] : zeros;
    x_sh[x_copy_row][x_copy_group] = x_copies ? load_group(x_gl_rd, (group + x_copy_group) * GROUP, in) : zeros;
    __syncthreads();
#pragma unroll
    for (int k = 0; k < TILE_GROUPS; k++) {
      float4 w[EACH];
#pragma unroll
      for (int o = 0; o < EACH; o++) w[o] = w_sh[k][w_sh_column + o * SIDE];
#pragma unroll
      for (int r = 0; r < EACH; r++) {
        const float4 x_group = x_sh[x_sh_row + r * SIDE][k];
#pragma unroll
        for (int o = 0; o < EACH; o++) sums[r][o] = dot_onto(x_group, w[o], sums[r][o]);
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int r = 0; r < EACH; r++) {
    const int row = first_row + x_sh_row + r * SIDE;
#pragma unroll
    for (int o = 0; o < EACH; o++) {
      const int column = panel * PANEL + w_sh_column + o * SIDE;
      if (row < n && column < out_dim) out[static_cast<size_t>(row) * out_stride + column] = sums[r][o];
    }
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS)
linear_f32_f32_f32(const float* __restrict__ weight, const float* __restrict__ x, int x_stride,
                   float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  linear_tile(reinterpret_cast<const float4*>(weight), x, x_stride, out, out_stride, n, in, out_dim);
}
