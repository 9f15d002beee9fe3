// linear of codes by 4-bit weights, for few rows: out = f32(x * weight^T) * row_scale * x_scale
//
//   weight     packed as int4.cuh says
//   row_scale  (out_dim) f32
//   x          (n, in) codes, address and row stride multiples of 4
//   x_scale    (1) f32
//   out        (n, out_dim) f32, or codes with out_scale; any row stride
//
// Entry points, at the end: linear_few8_, linear_few16_, linear_few32_i4_i8_f32 and _i4_i8_i8, for up to that many
// rows, or for any number that many at a time: grid (ceil(out_dim / TILE), ceil(n / rows)).
//
// A block computes a tile of outputs, its warps every eighth chunk of inputs. Time goes by the bytes of the weight, so
// a warp asks for those of several chunks before it uses any.
#include "int4.cuh"
#include "linear_out.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / WARP;

inline __device__ uint4 load_once(const void* at) {
  uint4 words;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "l"(at));
  return words;
}

template <int ROWS, typename Out>
__device__ void few(const unsigned char* weight, const float* row_scale, const signed char* x, int x_stride,
                    const float* x_scale, const Out& out, int n, int in, int out_dim) {
  constexpr int EIGHTS = ROWS / 8;
  constexpr int AHEAD = ROWS == 8 ? 4 : 2;  // chunks of a warp under way
  __shared__ int sums_sh[WARPS][ROWS][TILE + 1];
  const int warp = threadIdx.x / WARP;
  const int lane = threadIdx.x % WARP;
  const int chunks = (in + CHUNK - 1) / CHUNK;
  const size_t tile_chunk = static_cast<size_t>(blockIdx.x) * chunks;
  const unsigned char* q_gl_rd = weight + tile_chunk * TILE_BYTES + lane * sizeof(uint4);
  const unsigned char* ratio_gl_rd =
      weight + static_cast<size_t>(gridDim.x) * chunks * TILE_BYTES + tile_chunk * TILE_RATIOS + lane / 4 * 4;
  const int first_row = blockIdx.y * ROWS;
  int sums[EIGHTS][4] = {};

  for (int from = warp; from < chunks; from += WARPS * AHEAD) {
    uint4 words[AHEAD][2];
    unsigned ratios[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      const size_t chunk = min(from + k * WARPS, chunks - 1);
      words[k][0] = load_once(q_gl_rd + chunk * TILE_BYTES);
      words[k][1] = load_once(q_gl_rd + chunk * TILE_BYTES + TILE_BYTES / 2);
      ratios[k] = *reinterpret_cast<const unsigned*>(ratio_gl_rd + chunk * TILE_RATIOS);
    }
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      const int chunk = from + k * WARPS;
      if (chunk >= chunks) break;
      int a[16];
      const Ratios ratio = ratios_of(ratios[k]);
      convert(words[k][0], ratio, a);
      convert(words[k][1], ratio, a + 8);
      add_chunk<EIGHTS>(sums, a, x, x_stride, first_row, n, chunk, in);
    }
  }

#pragma unroll
  for (int e = 0; e < EIGHTS; e++) {
#pragma unroll
    for (int i = 0; i < 4; i++) sums_sh[warp][e * 8 + lane % 4 * 2 + i % 2][lane / 4 + i / 2 * 8] = sums[e][i];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < ROWS * TILE; i += THREADS) {
    const int row = first_row + i / TILE;
    const int column = blockIdx.x * TILE + i % TILE;
    if (row >= n || column >= out_dim) continue;
    int sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) sum += sums_sh[w][i / TILE][i % TILE];
    out.at[static_cast<size_t>(row) * out.stride + column] =
        element(out, column, scaled_sum(sum, row_scale[column], *x_scale));
  }
}

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few8_i4_i8_f32(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                      const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                      float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  few<8, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few16_i4_i8_f32(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                       const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                       float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  few<16, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few32_i4_i8_f32(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                       const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                       float* __restrict__ out, int out_stride, int n, int in, int out_dim) {
  few<32, FloatRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride}, n, in, out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few8_i4_i8_i8(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                     const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                     signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                     int out_scale_step, int n, int in, int out_dim) {
  few<8, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                   out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few16_i4_i8_i8(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                      const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                      signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                      int out_scale_step, int n, int in, int out_dim) {
  few<16, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                    out_dim);
}

extern "C" __global__ void __launch_bounds__(THREADS)
linear_few32_i4_i8_i8(const unsigned char* __restrict__ weight, const float* __restrict__ row_scale,
                      const signed char* __restrict__ x, int x_stride, const float* __restrict__ x_scale,
                      signed char* __restrict__ out, int out_stride, const float* __restrict__ out_scale,
                      int out_scale_step, int n, int in, int out_dim) {
  few<32, CodeRows>(weight, row_scale, x, x_stride, x_scale, {out, out_stride, out_scale, out_scale_step}, n, in,
                    out_dim);
}
