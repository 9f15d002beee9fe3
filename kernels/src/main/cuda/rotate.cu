// rotate: out = H x / sqrt(inner_dim) for each row
//
// H = B (x) S as in the Java class Hadamard: S the Sylvester matrix of width = 2^k, B one of the tables of hadamard.cuh, or
// [[H20, H20], [H20, -H20]] for inner_dim = 40 * width. Element c * width + r is mixed over c by B and over r by S;
// the two commute.
//
//   x    (n, inner_dim) f32
//   out  (n, inner_dim) f32, may be x; or codes with scales, ties away from zero
//
// Entry points, at the end: rotate_f32_f32, rotate_f32_i8, for inner_dim up to 12288. A block a row, which lies in
// shared memory: five levels of S between the lanes of a warp while it is read, up to three at once in registers, and
// B, with what B is made of, while it is written.
#include "codes.cuh"
#include "hadamard.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int ROTATE_WIDEST = 12288;  // 48 KiB; also in CudaRotate

// Reads a row into row_sh with the levels of S whose pairs lie in a warp. A pair never straddles the row's end, as
// its width divides both the row and a warp.
inline __device__ void read_row(const float* x, float* row_sh, int inner_dim, int width) {
  const int end = (inner_dim + WARP - 1) / WARP * WARP;
  for (int i = threadIdx.x; i < end; i += THREADS) {
    float value = i < inner_dim ? x[i] : 0;
#pragma unroll
    for (int half = 1; half < WARP; half *= 2) {
      if (half < width) {
        const float other = __shfl_xor_sync(ALL_LANES, value, half);
        value = (i & half) == 0 ? value + other : other - value;
      }
    }
    if (i < inner_dim) row_sh[i] = value;
  }
  __syncthreads();
}

// The levels of S from apart to apart * RADIX / 2.
template <int RADIX>
__device__ void butterflies(float* row_sh, int inner_dim, int apart) {
  for (int set = threadIdx.x; set < inner_dim / RADIX; set += THREADS) {
    float* from = row_sh + set / apart * apart * RADIX + set % apart;
    float values[RADIX];
#pragma unroll
    for (int k = 0; k < RADIX; k++) values[k] = from[k * apart];
#pragma unroll
    for (int half = 1; half < RADIX; half *= 2) {
#pragma unroll
      for (int k = 0; k < RADIX; k++) {
        if ((k & half) == 0) {
          const float a = values[k];
          const float b = values[k + half];
          values[k] = a + b;
          values[k + half] = a - b;
        }
      }
    }
#pragma unroll
    for (int k = 0; k < RADIX; k++) from[k * apart] = values[k];
  }
  __syncthreads();
}

// Mixes by B, scales and writes. There are two parts where B is made of four H20: their sum and their difference are
// mixed alike.
template <int BASE, typename T>
__device__ void write_row(const float* row_sh, Results<T> out, int inner_dim, int width, float scale) {
  const int part = BASE * width;
  const bool two = part < inner_dim;
  for (int i = threadIdx.x; i < inner_dim / BASE; i += THREADS) {
    const int column = i % width;
    const bool second = i >= width;
    float in[BASE];
#pragma unroll
    for (int k = 0; k < BASE; k++) {
      in[k] = row_sh[k * width + column];
      if (two) {
        const float other = row_sh[part + k * width + column];
        in[k] = second ? in[k] - other : in[k] + other;
      }
    }
#pragma unroll
    for (int row = 0; row < BASE; row++) {
      float sum = 0;
#pragma unroll
      for (int k = 0; k < BASE; k++) sum += table_row<BASE>(row) >> k & 1 ? in[k] : -in[k];
      out.put_away(blockIdx.x, (second ? part : 0) + row * width + column, sum * scale);
    }
  }
}

template <typename T>
__device__ void rotate_row(const float* x, Results<T> out, int inner_dim, int base, int width, float scale) {
  __shared__ float row_sh[ROTATE_WIDEST];
  read_row(x, row_sh, inner_dim, width);
  for (int apart = WARP; apart < width;) {
    if (width / apart >= 8) {
      butterflies<8>(row_sh, inner_dim, apart);
      apart *= 8;
    } else if (width / apart == 4) {
      butterflies<4>(row_sh, inner_dim, apart);
      apart *= 4;
    } else {
      butterflies<2>(row_sh, inner_dim, apart);
      apart *= 2;
    }
  }
  switch (base) {
    case 12: write_row<12>(row_sh, out, inner_dim, width, scale); break;
    case 20: write_row<20>(row_sh, out, inner_dim, width, scale); break;
    case 28: write_row<28>(row_sh, out, inner_dim, width, scale); break;
    default: write_row<1>(row_sh, out, inner_dim, width, scale);
  }
}

// ---------------------------------------------------------------- entry points

// Grid (n). base is 1, 12, 20 or 28, inner_dim = base * width or 2 * base * width.

extern "C" __global__ void __launch_bounds__(THREADS)
rotate_f32_f32(const float* x, int x_stride, float* out, int out_stride, int inner_dim, int base, int width,
               float scale) {
  rotate_row<float>(x + static_cast<size_t>(blockIdx.x) * x_stride, {out, out_stride}, inner_dim, base, width, scale);
}

extern "C" __global__ void __launch_bounds__(THREADS)
rotate_f32_i8(const float* x, int x_stride, signed char* out, int out_stride, const float* out_scale,
              int out_scale_step, int inner_dim, int base, int width, float scale) {
  rotate_row<signed char>(x + static_cast<size_t>(blockIdx.x) * x_stride,
                          {out, out_stride, out_scale, out_scale_step}, inner_dim, base, width, scale);
}
