// gate_rotate_few: gate_rotate for few rows, bit by bit, on devices with clusters: SHARERS blocks share a row
//
//   as gate_rotate
//
// Entry points, at the end: gate_rotate_few_f32_f32, gate_rotate_few_f32_i8, gate_rotate_few_i8_f32,
// gate_rotate_few_i8_i8. Grid (SHARERS * n).
//
// A warp has a part of 128 columns at most, which it rotates as gate_rotate does and deals to the blocks: each gets the
// same columns of all parts, which it norms and mixes. One exchange is all, as a norm's scale comes last.
#include "gate_rotate.cuh"
#include "matrix.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 512;
constexpr int WARPS = THREADS / WARP;
constexpr int SHARERS = 4;
static_assert(WARPS * SHARERS * PART == WIDEST, "a warp has one part at most");

#ifdef WARPGROUPS
#define IN_CLUSTERS __cluster_dims__(SHARERS)
#else
#define IN_CLUSTERS  // no device without clusters is asked for this
#endif

struct Shared {
  float row[WIDEST / SHARERS];  // (parts, PART / SHARERS)
  float squares[WIDEST / PART];
  float scales[WIDEST / PART];
};

template <class ROW, typename Z, typename T>
__device__ void gate_rotate_row(Shared& sh, const float* y, int y_stride, const Values<Z>& z, const float* weight,
                                int groups, float epsilon, const Results<T>& out, float factor) {
#ifdef WARPGROUPS
  constexpr int WIDTH = PART / SHARERS;  // columns of a part that a block has in the end
  // Where rows are long and few, the next kernel's weights are so many that copying them takes longer than this: then
  // it begins sooner, though its copies are in the way.
  constexpr int LONG = 4096;
  constexpr int FEW = 8;
  const int rank = rank_in_cluster();
  const int row = blockIdx.x / SHARERS;
  const int lane = threadIdx.x % WARP;
  // The same for all lanes, as the compiler must know: or else it has detours for each shuffle.
  const int warp = __shfl_sync(ALL_LANES, static_cast<int>(threadIdx.x) / WARP, 0);
  const int part = warp * SHARERS + rank;
  const int column = part * PART + lane * FOUR;
  const bool has_part = part < ROW::PARTS;
  appear_in_cluster();
  if (ROW::PARTS * PART >= LONG && gridDim.x <= FEW * SHARERS) begin_next();
  Four<float> factors;
  Units<Z> units;
  if (has_part) {
    if (groups > 0) factors = Four<float>::read<true>(weight + column, FOUR);
    units = Units<Z>::template read<true>(z, column, FOUR);
  }
  const Writer<T> writer(out, out.at + static_cast<size_t>(row) * out.stride, rank * WIDTH, factor, common_scale(out));
  const int group_parts = groups > 1 ? ROW::PARTS / groups : ROW::PARTS;
  await_before();
  GateInputs<Z> inputs;
  if (has_part) {
    inputs = GateInputs<Z>::template read<true>(y + static_cast<size_t>(row) * y_stride,
                                                z.at + static_cast<size_t>(row) * z.stride, column, FOUR);
  }
  begin_next();
  await_cluster();  // all blocks are there to be written to
  if (has_part) {
    Gated gated = Gated::of(inputs, units);
    if (groups > 0) {
      float squares = 0;
      gated.add_squares(squares);
      squares = warp_sum(squares);
      if (lane < SHARERS) store_there(address_at(lane, shared_address(sh.squares + part)), squares);
      gated.multiply(factors);
    }
    mix_part(gated.at);
    const uint32_t at_sh = shared_address(sh.row + part * WIDTH + lane * FOUR % WIDTH);
    store_there(address_at(lane * FOUR / WIDTH, at_sh), gated.at);
  }
  sync_cluster();
  if (groups > 0) {
    for (int first = warp * group_parts; first < ROW::PARTS; first += WARPS * group_parts) {
      const float scale = norm_scale(sh.squares + first, group_parts, epsilon);
      for (int k = lane; k < group_parts; k += WARP) sh.scales[first + k] = scale;
    }
    sync_first<THREADS>();
  }
#pragma unroll 1
  for (int i = threadIdx.x; i < ROW::COUNT * WIDTH; i += THREADS) {
    float x[ROW::EACH];
#pragma unroll
    for (int k = 0; k < ROW::EACH; k++) {
      const int of = ROW::part(i / WIDTH, k);
      x[k] = sh.row[of * WIDTH + i % WIDTH];
      if (groups > 0) x[k] = __fmul_rn(x[k], sh.scales[of]);
    }
    mix_few(x);
#pragma unroll
    for (int k = 0; k < ROW::EACH; k++) sh.row[ROW::part(i / WIDTH, k) * WIDTH + i % WIDTH] = x[k];
  }
  sync_first<THREADS>();
  mix_units<ROW, WIDTH, THREADS>(sh.row, writer);
#endif
}

template <typename Z, typename T>
__device__ void gate_rotate(const float* y, int y_stride, const Values<Z>& z, const float* weight, int groups,
                            float epsilon, const Results<T>& out, int inner_dim, float factor) {
  __shared__ __align__(16) Shared sh;
  run_row(inner_dim, [&](auto row) {
    gate_rotate_row<decltype(row)>(sh, y, y_stride, z, weight, groups, epsilon, out, factor);
  });
}

// ---------------------------------------------------------------- entry points

// Grid (SHARERS * n).

extern "C" __global__ void __launch_bounds__(THREADS) IN_CLUSTERS
gate_rotate_few_f32_f32(const float* y, int y_stride, const float* z, int z_stride, const float* weight, float* out,
                        int out_stride, int n, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate<float, float>(y, y_stride, {z, z_stride}, weight, groups, epsilon, {out, out_stride}, inner_dim,
                            factor);
}

extern "C" __global__ void __launch_bounds__(THREADS) IN_CLUSTERS
gate_rotate_few_f32_i8(const float* y, int y_stride, const float* z, int z_stride, const float* weight,
                       signed char* out, int out_stride, const float* out_scale, int out_scale_step, int n,
                       int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate<float, signed char>(y, y_stride, {z, z_stride}, weight, groups, epsilon,
                                  {out, out_stride, out_scale, out_scale_step}, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS) IN_CLUSTERS
gate_rotate_few_i8_f32(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                       int z_scale_step, const float* weight, float* out, int out_stride, int n, int inner_dim,
                       int groups, float epsilon, float factor) {
  gate_rotate<signed char, float>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon,
                                  {out, out_stride}, inner_dim, factor);
}

extern "C" __global__ void __launch_bounds__(THREADS) IN_CLUSTERS
gate_rotate_few_i8_i8(const float* y, int y_stride, const signed char* z, int z_stride, const float* z_scale,
                      int z_scale_step, const float* weight, signed char* out, int out_stride, const float* out_scale,
                      int out_scale_step, int n, int inner_dim, int groups, float epsilon, float factor) {
  gate_rotate<signed char, signed char>(y, y_stride, {z, z_stride, z_scale, z_scale_step}, weight, groups, epsilon,
                                        {out, out_stride, out_scale, out_scale_step}, inner_dim, factor);
}
