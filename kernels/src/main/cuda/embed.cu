// embed: out[i] = table[ids[i]]
//
//   ids         (n)            i32, each in 0 ... entries - 1
//   table       (entries, dim) f32, plain, or packed so that a tied head is held once: f32 or i8 as device.cuh says, or
//               i8 as linear_codes_wide.cu says
//   row_scales  (entries)      f32, of codes: value = code * row_scale
//   out         (n, dim)       f32
//
// Entry points, at the end: embed_f32_f32, embed_packed_f32_f32, embed_packed_i8_f32, embed_wide_i8_f32. Grid (n,
// any number of blocks that share an id's columns): memory is the only limit.
#include "codes.cuh"
#include "matrix.cuh"

// ---------------------------------------------------------------- kernels

constexpr int THREADS = 128;

inline __device__ int own() { return blockIdx.y * THREADS + threadIdx.x; }
inline __device__ int apart() { return gridDim.y * THREADS; }

// ---------------------------------------------------------------- entry points

extern "C" __global__ void __launch_bounds__(THREADS)
embed_f32_f32(const int* ids, const float* table, int table_stride, float* out, int out_stride, int dim) {
  begin_next();
  await_before();
  const float* entry = table + static_cast<size_t>(ids[blockIdx.x]) * table_stride;
  float* to = out + static_cast<size_t>(blockIdx.x) * out_stride;
  for (int i = own(); i < dim; i += apart()) to[i] = entry[i];
}

extern "C" __global__ void __launch_bounds__(THREADS)
embed_packed_f32_f32(const int* ids, const float* table, float* out, int out_stride, int dim) {
  begin_next();
  await_before();
  const int id = ids[blockIdx.x];
  float* to = out + static_cast<size_t>(blockIdx.x) * out_stride;
  for (int i = own(); i < dim; i += apart()) to[i] = table[packed_at<float>(id, i, dim)];
}

extern "C" __global__ void __launch_bounds__(THREADS)
embed_packed_i8_f32(const int* ids, const signed char* table, const float* row_scales, float* out, int out_stride,
                    int dim) {
  begin_next();
  await_before();
  const int id = ids[blockIdx.x];
  const float scale = row_scales[id];
  float* to = out + static_cast<size_t>(blockIdx.x) * out_stride;
  for (int i = own(); i < dim; i += apart()) {
    to[i] = Values<signed char>::widen(table[packed_at<signed char>(id, i, dim)], scale);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
embed_wide_i8_f32(const int* ids, const signed char* table, const float* row_scales, float* out, int out_stride,
                  int entries, int dim) {
  begin_next();
  await_before();
  const int id = ids[blockIdx.x];
  const size_t rows = (entries + PIECES - 1) / PIECES * PIECES;
  const float scale = row_scales[id];
  float* to = out + static_cast<size_t>(blockIdx.x) * out_stride;
  for (int i = own(); i < dim; i += apart()) {
    const signed char* tile = table + (i / CHUNK * rows + id / PIECES * PIECES) * CHUNK;
    const signed char code = tile[swizzled(id % PIECES, i % CHUNK / PIECE) + i % PIECE];
    to[i] = Values<signed char>::widen(code, scale);
  }
}
