// A tile of 4-bit weights multiplied by one warp, with instructions that every device has.
#pragma once
#include "int4.cuh"
#include "linear_tail.cuh"

// Outputs of tile `tile` of the share's, all inputs, rows from `first_row` on before `end_row`, 8 * EIGHTS at a time.
template <int EIGHTS, typename Out>
__device__ void compute_tile(const Share& share, int tile, const signed char* x, int x_stride, const float* x_scale,
                             const Out& out, const Tail& tail, int first_row, int end_row, int in) {
  const int lane = threadIdx.x % WARP;
  const int tiles = (share.out_dim + TILE - 1) / TILE;
  const int chunks = (in + CHUNK - 1) / CHUNK;
  const size_t tile_chunk = static_cast<size_t>(tile) * chunks;
  const uint4* words = reinterpret_cast<const uint4*>(share.weight + tile_chunk * TILE_BYTES) + lane;
  const signed char* all_ratios = share.weight + static_cast<size_t>(tiles) * chunks * TILE_BYTES;
  const unsigned* ratios = reinterpret_cast<const unsigned*>(all_ratios + tile_chunk * TILE_RATIOS) + lane / 4;
  for (; first_row < end_row; first_row += EIGHTS * 8) {
    int sums[EIGHTS][4] = {};
    for (int chunk = 0; chunk < chunks; chunk++) {
      int a[16];
      const Ratios ratio = ratios_of(ratios[chunk * (TILE / 2)]);
      convert(words[chunk * 2 * WARP], ratio, a);
      convert(words[(chunk * 2 + 1) * WARP], ratio, a + 8);
      add_chunk<EIGHTS>(sums, a, x, x_stride, first_row, end_row, chunk, in);
    }
#pragma unroll
    for (int i = 0; i < EIGHTS * 4; i++) {
      const int row = first_row + i / 4 * 8 + lane % 4 * 2 + i % 2;
      const int column = tile * TILE + lane / 4 + i % 4 / 2 * 8;
      if (row >= end_row || column >= share.out_dim) continue;
      const float value = scaled_sum(sums[i / 4][i % 4], share.row_scale[column], *x_scale);
      if (share.in_tail) {
        store(tail.out, row, column, value);
      } else {
        store(out, row, column, value);
      }
    }
  }
}
