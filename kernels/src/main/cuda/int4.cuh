// Packed 4-bit codes of a matrix (out, in), and how they become the 8-bit codes that meet 8-bit inputs:
//
//   code = round(q * ratio), ties to even; q is -8 ... 7, ratio binary16 of the row and its group of CHUNK inputs
//
// Rows are cut into tiles of TILE, inputs into chunks of CHUNK, both filled up. First come the q of all tiles, then all
// ratios:
//   q       (tiles, chunks, 2, WARP, 4) u32: of half s, lane l, word 2 t + r, row 8 r + l / 4 and inputs
//           32 (2 s + t) + 16 h + 4 (l % 4) + k of the tile, with q + 8 in nibble 2 h + k / 2 + 4 (k % 2) of the word
//   ratios  (tiles, chunks, 8, 2) binary16: of row 8 r + g at [g][r]
// Where the matrix has no element q is 0, so nibble 8, and where it has no row the ratio is 0. A ratio that is not
// finite belongs to a group of zeros: pack 0.
//
// A lane's words are what a product's operand has in it: it loads 16 bytes, converts them, multiplies.
#pragma once
#include <cuda_fp16.h>

#include "matrix.cuh"

constexpr int TILE = 16;
constexpr int TILE_BYTES = TILE * CHUNK / 2;        // of q, a chunk
constexpr int TILE_RATIOS = TILE * sizeof(__half);  // bytes

// The ratios of a lane's rows, l / 4 and l / 4 + 8.
struct Ratios {
  __half2 whole[2];
  __half2 sixteenth[2];  // exact but where q * ratio rounds to 0 anyway
};

inline __device__ Ratios ratios_of(unsigned both) {
  const __half2 two = *reinterpret_cast<const __half2*>(&both);
  const __half2 first = __low2half2(two);
  const __half2 second = __high2half2(two);
  const __half2 part = __float2half2_rn(0.0625f);
  return {{first, second}, {__hmul2(first, part), __hmul2(second, part)}};
}

inline __device__ __half2 half2_of(unsigned bits) { return *reinterpret_cast<const __half2*>(&bits); }

inline __device__ unsigned bits_of(__half2 value) { return *reinterpret_cast<const unsigned*>(&value); }

// Nibbles of a word under the bits of 1024.
inline __device__ unsigned under_1024(unsigned word, unsigned nibbles) { return and_or(word, nibbles, 0x64006400); }

// Two codes, in the low bytes of each half. A nibble under the bits of 1024 is 1024 + nibble, or 1024 + 16 * nibble;
// 1536 + q * ratio, rounded once, has steps of 1, and so the code in its low bits.
inline __device__ unsigned two_codes(unsigned nibbles, unsigned zero, __half2 ratio) {
  const __half2 q = __hsub2(half2_of(nibbles), half2_of(zero));
  return bits_of(__hfma2(q, ratio, half2_of(0x66006600)));
}

// The 8 codes of a word: of h = 0 in `first`, of h = 1 in `second`.
inline __device__ void convert(unsigned word, __half2 ratio, __half2 sixteenth, int& first, int& second) {
  constexpr unsigned LOW = 0x000f000f;
  constexpr unsigned HIGH = 0x00f000f0;
  constexpr unsigned ZERO_LOW = 0x64086408;   // 1024 + 8
  constexpr unsigned ZERO_HIGH = 0x64806480;  // 1024 + 16 * 8
  const unsigned upper = word >> 8;
  const unsigned c_0 = two_codes(under_1024(word, LOW), ZERO_LOW, ratio);
  const unsigned c_1 = two_codes(under_1024(word, HIGH), ZERO_HIGH, sixteenth);
  const unsigned c_2 = two_codes(under_1024(upper, LOW), ZERO_LOW, ratio);
  const unsigned c_3 = two_codes(under_1024(upper, HIGH), ZERO_HIGH, sixteenth);
  first = static_cast<int>(__byte_perm(c_0, c_1, 0x6420));
  second = static_cast<int>(__byte_perm(c_2, c_3, 0x6420));
}

// The operands of two products from a lane's 16 bytes.
inline __device__ void convert(uint4 words, const Ratios& ratios, int* a) {
  convert(words.x, ratios.whole[0], ratios.sixteenth[0], a[0], a[2]);
  convert(words.y, ratios.whole[1], ratios.sixteenth[1], a[1], a[3]);
  convert(words.z, ratios.whole[0], ratios.sixteenth[0], a[4], a[6]);
  convert(words.w, ratios.whole[1], ratios.sixteenth[1], a[5], a[7]);
}

// Products of a tile's chunk, a lane's operands, by 8 * EIGHTS rows of x from `first_row` on, of which n exist.
template <int EIGHTS>
__device__ void add_chunk(int (&sums)[EIGHTS][4], const int* a, const signed char* x, int x_stride, int first_row,
                          int n, int chunk, int in) {
  const int lane = threadIdx.x % WARP;
  const int from = chunk * CHUNK + lane % 4 * 4;
  const bool whole = (chunk + 1) * CHUNK <= in;
#pragma unroll
  for (int e = 0; e < EIGHTS; e++) {
    const int row = first_row + e * 8 + lane / 4;
    const signed char* x_gl_rd = x + static_cast<size_t>(row) * x_stride + from;
    int b[8] = {};
    if (row < n) {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        b[i] = load_four(x_gl_rd + i * 16, whole ? 4 : in - from - i * 16);
      }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) add_product(sums[e], a + i * 4, b[i * 2], b[i * 2 + 1]);
  }
}
