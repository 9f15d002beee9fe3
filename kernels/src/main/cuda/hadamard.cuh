// hadamard: the small matrices B of rotations, as in the Java class Hadamard. Holds no entry point.
#pragma once

// Rows of B: bit k is set where element k is +1, the others are -1.
__device__ constexpr unsigned H12[12] = {0xffd, 0x554, 0xc37, 0x691, 0x0df, 0xa45,
                                         0x373, 0x919, 0xdc3, 0x469, 0x70f, 0x1a5};

__device__ constexpr unsigned H20[20] = {0x00001, 0x9ea1b, 0x3d437, 0x7a86d, 0xf50d9, 0xea1b3, 0xd4367,
                                         0xa86cf, 0x50d9f, 0xa1b3d, 0x4367b, 0x86cf5, 0x0d9eb, 0x1b3d5,
                                         0x367a9, 0x6cf51, 0xd9ea1, 0xb3d43, 0x67a87, 0xcf50d};

__device__ constexpr unsigned H28[28] = {0x0000001, 0xb5c887b, 0x6f13077, 0xdaa447d, 0xaec53d1, 0x79987b1, 0xd722be1,
                                         0x76a928f, 0xcdc258f, 0xbb14b0f, 0x910f6d7, 0x260edbd, 0x488fb6b, 0x8a7a2bb,
                                         0x30f61e7, 0x457c35d, 0x5251ddb, 0x84b1f37, 0x2961eed, 0x1edae45, 0x1db7899,
                                         0x1f6d523, 0xf457629, 0xec3ccc3, 0xf86b915, 0xa3bb549, 0x63e6e13, 0xc3dd8a5};

template <int BASE>
__device__ unsigned table_row(int row) {
  if constexpr (BASE == 12) return H12[row];
  if constexpr (BASE == 20) return H20[row];
  if constexpr (BASE == 28) return H28[row];
  return 1;
}
