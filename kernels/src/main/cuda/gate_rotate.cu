// gate_rotate: gate, then rotate, without a trip to memory between: out = H g / sqrt(inner_dim), g = y * silu(z) (groups
// 0) or its norm over each of groups equal parts of a row
//
//   y       (n, inner_dim) f32
//   z       (n, inner_dim) f32, or codes with scales
//   weight  (inner_dim)    f32, of the norm
//   out     (n, inner_dim) f32, may be y; or codes with scales, ties away from zero
//
// Entry points, at the end: gate_rotate_f32_f32, gate_rotate_f32_i8, gate_rotate_i8_f32, gate_rotate_i8_i8, dtypes of z
// and out, for the inner_dim of gate_rotate below, all in whole fours, groups of whole parts. A block a row. A warp has
// parts of 128 columns, a lane 4 neighbours of each, in registers up to the inner 7 levels of S; the rest of H mixes
// what lies parts apart, in registers again, after one exchange through shared memory.
#include "gate.cuh"
#include "hadamard.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / WARP;
constexpr int PART = WARP * FOUR;
constexpr int WIDEST = 8192;

inline __device__ void butterfly(float& a, float& b) {
  const float sum = a + b;
  b = a - b;
  a = sum;
}

// inner_dim = BASE * OUTER * HALVES * PART, element ((half * BASE + c) * OUTER + w) * PART + r; H mixes over c by B, over
// the others by S.
template <int BASE, int OUTER, int HALVES>
struct Row {
  static constexpr int PARTS = BASE * OUTER * HALVES;
  static constexpr int OWN = (PARTS + WARPS - 1) / WARPS;  // parts of a warp
  static constexpr int SIZE = PARTS * PART;

  // A warp's parts: neighbours where S mixes them.
  static __device__ int part(int j) {
    const int warp = threadIdx.x / WARP;
    return BASE == 1 ? warp * OWN + j : j * WARPS + warp;
  }
};

// What S mixes of four neighbours of each lane.
inline __device__ void mix_part(float (&x)[FOUR]) {
  butterfly(x[0], x[1]);
  butterfly(x[2], x[3]);
  butterfly(x[0], x[2]);
  butterfly(x[1], x[3]);
#pragma unroll
  for (int apart = 1; apart < WARP; apart *= 2) {
    const float sign = (threadIdx.x & apart) == 0 ? 1 : -1;
#pragma unroll
    for (int k = 0; k < FOUR; k++) x[k] = fmaf(sign, x[k], __shfl_xor_sync(ALL_LANES, x[k], apart));
  }
}

// Four terms of each of B's rows from FIRST on. Rows share the 8 sums that there are of them, but for the sign.
template <int BASE, int FIRST, int COUNT>
__device__ void mix_four(float a, float b, float c, float d, int column, float (&sums)[COUNT]) {
  const float ab = a + b;
  const float ab_apart = a - b;
  const float cd = c + d;
  const float cd_apart = c - d;
#pragma unroll
  for (int row = 0; row < COUNT; row++) {
    const unsigned signs = table_row<BASE>(FIRST + row) >> column;
    const float left = ((signs ^ signs >> 1) & 1) != 0 ? ab_apart : ab;
    const float right = ((signs >> 2 ^ signs >> 3) & 1) != 0 ? cd_apart : cd;
    const float both = ((signs ^ signs >> 2) & 1) != 0 ? left - right : left + right;
    sums[row] = (signs & 1) != 0 ? sums[row] + both : sums[row] - both;
  }
}

// Writes results to columns of the block's row.
template <typename T>
struct Writer {
  Results<T> out;
  float factor;
  float scale;
  float inverse;

  __device__ Writer(const Results<T>& out, float factor) : out(out), factor(factor) {
    if constexpr (sizeof(T) == 1) {
      scale = out.step == 0 ? out.scale[0] : 1;
      inverse = 1 / scale;
    }
  }
  __device__ void put(int column, float value) const {
    if constexpr (sizeof(T) == 1) {
      float own = scale;
      float own_inverse = inverse;
      if (out.step != 0) {
        own = out.scale[column];
        own_inverse = 1 / own;
      }
      const size_t at = static_cast<size_t>(blockIdx.x) * out.stride + column;
      out.at[at] = away(quotient(value * factor, own, own_inverse));
    } else {
      out.put_away(blockIdx.x, column, value * factor);
    }
  }
};

// Rows FIRST to FIRST + COUNT - 1 of B on column r, and of S what own chooses.
template <class ROW, int BASE, int OUTER, int HALVES, int FIRST, int COUNT, typename T>
__device__ void mix_column(const float* row_sh, int r, int own, const Writer<T>& writer) {
  constexpr int S = OUTER * HALVES;
  float sums[COUNT] = {};
#pragma unroll
  for (int column = 0; column < BASE; column += FOUR) {
    float x[FOUR];
#pragma unroll
    for (int k = 0; k < FOUR; k++) {
      x[k] = 0;
#pragma unroll
      for (int s = 0; s < S; s++) {
        const float value = row_sh[((s / OUTER * BASE + column + k) * OUTER + s % OUTER) * PART + r];
        x[k] = s == 0 ? value : (own & s) == 0 ? x[k] + value : x[k] - value;  // S is 2 at most
      }
    }
    mix_four<BASE, FIRST, COUNT>(x[0], x[1], x[2], x[3], column, sums);
  }
#pragma unroll
  for (int row = 0; row < COUNT; row++) {
    writer.put(((own / OUTER * BASE + FIRST + row) * OUTER + own % OUTER) * PART + r, sums[row]);
  }
}

// The parts of a row in shared memory, mixed and written.
template <int BASE, int OUTER, int HALVES, typename T>
__device__ void mix_parts(const float* row_sh, const Writer<T>& writer) {
  using ROW = Row<BASE, OUTER, HALVES>;
  if constexpr (BASE == 1) {
    for (int i = threadIdx.x; i < ROW::OWN * PART; i += THREADS) {
      float x[WARPS];
#pragma unroll
      for (int k = 0; k < WARPS; k++) x[k] = row_sh[k * ROW::OWN * PART + i];
#pragma unroll
      for (int apart = 1; apart < WARPS; apart *= 2) {
#pragma unroll
        for (int k = 0; k < WARPS; k++) {
          if ((k & apart) == 0) butterfly(x[k], x[k + apart]);
        }
      }
#pragma unroll
      for (int k = 0; k < WARPS; k++) writer.put(k * ROW::OWN * PART + i, x[k]);
    }
  } else {
    static_assert(THREADS == 2 * PART && OUTER * HALVES <= 2, "a thread a column, or two threads a column");
    const int r = threadIdx.x % PART;
    const int second = threadIdx.x / PART;
    if constexpr (OUTER * HALVES == 2) {
      mix_column<ROW, BASE, OUTER, HALVES, 0, BASE>(row_sh, r, second, writer);
    } else if (second == 0) {
      mix_column<ROW, BASE, OUTER, HALVES, 0, BASE / 2>(row_sh, r, 0, writer);
    } else {
      mix_column<ROW, BASE, OUTER, HALVES, BASE / 2, BASE / 2>(row_sh, r, 0, writer);
    }
  }
}

// 1 / root of the mean square of a group of parts, whose sums of squares are in shared memory.
inline __device__ float norm_scale(const float* squares_sh, int group, int parts, float epsilon) {
  float sum = 0;
  for (int part = threadIdx.x % WARP; part < parts; part += WARP) sum += squares_sh[group * parts + part];
  return 1 / sqrtf(warp_sum(sum) / (parts * PART) + epsilon);
}

template <int BASE, int OUTER, int HALVES, typename Z, typename T>
__device__ void gate_rotate_row(float* row_sh, const float* y, const Values<Z>& z, const float* weight, int groups,
                                float epsilon, const Results<T>& out, float factor) {
  using ROW = Row<BASE, OUTER, HALVES>;
  constexpr int OWN = ROW::OWN;
  __shared__ float squares_sh[ROW::PARTS];
  const int lane = threadIdx.x % WARP;
  Inputs<Z> inputs[OWN];
  Gated own[OWN];
#pragma unroll
  for (int j = 0; j < OWN; j++) {
    const int part = ROW::part(j);
    inputs[j] = {};
    if (part < ROW::PARTS) inputs[j] = Inputs<Z>::template read<true>(y, z, part * PART + lane * FOUR, FOUR);
  }
#pragma unroll
  for (int j = 0; j < OWN; j++) {
    const int part = ROW::part(j);
    own[j] = {};
    if (part < ROW::PARTS) own[j] = Gated(inputs[j], z, part * PART + lane * FOUR, FOUR);
  }
  if (groups > 0) {
#pragma unroll
    for (int j = 0; j < OWN; j++) {
      float squares = 0;
      own[j].add_squares(squares);
      squares = warp_sum(squares);
      if (lane == 0 && ROW::part(j) < ROW::PARTS) squares_sh[ROW::part(j)] = squares;
    }
    constexpr int EARLY = OWN > 5 ? 0 : OWN;  // as many as there are registers for
    Four<float> factors[OWN];
#pragma unroll
    for (int j = 0; j < EARLY; j++) {
      const int part = ROW::part(j);
      factors[j] = {};
      if (part < ROW::PARTS) factors[j] = Four<float>::read<true>(weight + part * PART + lane * FOUR, FOUR);
    }
    __syncthreads();
    const int parts = ROW::PARTS / groups;
    int group = -1;
    float scale = 0;
#pragma unroll
    for (int j = 0; j < OWN; j++) {
      const int part = ROW::part(j);
      if (part < ROW::PARTS && part / parts != group) {
        group = part / parts;
        scale = norm_scale(squares_sh, group, parts, epsilon);
      }
      if (j >= EARLY) factors[j] = Four<float>::read<true>(weight + part * PART + lane * FOUR, FOUR);
#pragma unroll
      for (int k = 0; k < FOUR; k++) own[j].at[k] = own[j].at[k] * scale * factors[j].raw(k);
    }
  }
#pragma unroll
  for (int j = 0; j < OWN; j++) mix_part(own[j].at);
  if constexpr (BASE == 1) {
#pragma unroll
    for (int apart = 1; apart < OWN; apart *= 2) {
#pragma unroll
      for (int j = 0; j < OWN; j++) {
        if ((j & apart) == 0) {
#pragma unroll
          for (int k = 0; k < FOUR; k++) butterfly(own[j].at[k], own[j + apart].at[k]);
        }
      }
    }
  }
#pragma unroll
  for (int j = 0; j < OWN; j++) {
    const int part = ROW::part(j);
    const Four<float> four = {{own[j].at[0], own[j].at[1], own[j].at[2], own[j].at[3]}};
    if (part < ROW::PARTS) four.template write<true>(row_sh + part * PART + lane * FOUR, FOUR);
  }
  __syncthreads();
  mix_parts<BASE, OUTER, HALVES>(row_sh, Writer<T>(out, factor));
}

// Rows of y are read before the first barrier, so that out may be y.
template <typename Z, typename T>
__device__ void gate_rotate(const float* y, const Values<Z>& z, const float* weight, int groups, float epsilon,
                            const Results<T>& out, int inner_dim, float factor) {
  __shared__ __align__(16) float row_sh[WIDEST];
  switch (inner_dim) {
    case 1536: gate_rotate_row<12, 1, 1>(row_sh, y, z, weight, groups, epsilon, out, factor); break;
    case 2048: gate_rotate_row<1, 16, 1>(row_sh, y, z, weight, groups, epsilon, out, factor); break;
    case 3072: gate_rotate_row<12, 2, 1>(row_sh, y, z, weight, groups, epsilon, out, factor); break;
    case 3584: gate_rotate_row<28, 1, 1>(row_sh, y, z, weight, groups, epsilon, out, factor); break;
    case 4096: gate_rotate_row<1, 32, 1>(row_sh, y, z, weight, groups, epsilon, out, factor); break;
    case 5120: gate_rotate_row<20, 1, 2>(row_sh, y, z, weight, groups, epsilon, out, factor); break;
    case 7168: gate_rotate_row<28, 2, 1>(row_sh, y, z, weight, groups, epsilon, out, factor); break;
    case 8192: gate_rotate_row<1, 64, 1>(row_sh, y, z, weight, groups, epsilon, out, factor); break;
    default: break;
  }
}

// ---------------------------------------------------------------- entry points

// Grid (n).

extern "C" __global__ void __launch_bounds__(THREADS, 2)
gate_rotate_f32_f32(const float* y, int y_stride, const float* z, int z_stride, const float* weight, float* out,
                    int out_stride, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate<float, float>(y + static_cast<size_t>(blockIdx.x) * y_stride, {z, z_stride}, weight, groups, epsilon,
                            {out, out_stride}, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
gate_rotate_f32_i8(const float* y, int y_stride, const float* z, int z_stride, const float* weight, signed char* out,
                   int out_stride, const float* out_scale, int out_scale_step, int inner_dim, int groups,
                   float epsilon, float factor) {
  gate_rotate<float, signed char>(y + static_cast<size_t>(blockIdx.x) * y_stride, {z, z_stride}, weight, groups,
                                  epsilon, {out, out_stride, out_scale, out_scale_step}, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
gate_rotate_i8_f32(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                   int z_scale_step, const float* weight, float* out, int out_stride, int inner_dim, int groups,
                   float epsilon, float factor) {
  gate_rotate<signed char, float>(y + static_cast<size_t>(blockIdx.x) * y_stride,
                                  {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon, {out, out_stride},
                                  inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
gate_rotate_i8_i8(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                  int z_scale_step, const float* weight, signed char* out, int out_stride, const float* out_scale,
                  int out_scale_step, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate<signed char, signed char>(y + static_cast<size_t>(blockIdx.x) * y_stride,
                                        {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon,
                                        {out, out_stride, out_scale, out_scale_step}, inner_dim, factor);
}
