package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The innermost product: {@code c (rows, WIDTH) += x (rows, depth) · w (depth, WIDTH)} with the
 * sums in registers, two vectors for each of up to {@link #ROWS} rows. Each sum takes its terms in
 * the order of depth, so all tile heights agree bit for bit. The heights are written out since only
 * sums in local variables stay in registers.
 */
final class LinearTile {
  /** Rows of the highest tile. */
  static final int ROWS = 8;

  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();
  private static final int WIDTH = CpuPacked.WIDTH;

  private LinearTile() {}

  static void add(
      int rows,
      int depth,
      float[] x,
      int xAt,
      int xStride,
      float[] w,
      int wAt,
      float[] c,
      int cAt) {
    int row = 0;
    for (; row <= rows - 8; row += 8) {
      tile8(depth, x, xAt + row * xStride, xStride, w, wAt, c, cAt + row * WIDTH);
    }
    if (row <= rows - 4) {
      tile4(depth, x, xAt + row * xStride, xStride, w, wAt, c, cAt + row * WIDTH);
      row += 4;
    }
    if (row <= rows - 2) {
      tile2(depth, x, xAt + row * xStride, xStride, w, wAt, c, cAt + row * WIDTH);
      row += 2;
    }
    if (row < rows) {
      tile1(depth, x, xAt + row * xStride, w, wAt, c, cAt + row * WIDTH);
    }
  }

  /** 8 rows. */
  private static void tile8(
      int depth, float[] x, int xAt, int xStride, float[] w, int wAt, float[] c, int cAt) {
    int x0 = xAt;
    int x1 = x0 + xStride;
    int x2 = x1 + xStride;
    int x3 = x2 + xStride;
    int x4 = x3 + xStride;
    int x5 = x4 + xStride;
    int x6 = x5 + xStride;
    int x7 = x6 + xStride;
    int c0 = cAt;
    int c1 = c0 + WIDTH;
    int c2 = c1 + WIDTH;
    int c3 = c2 + WIDTH;
    int c4 = c3 + WIDTH;
    int c5 = c4 + WIDTH;
    int c6 = c5 + WIDTH;
    int c7 = c6 + WIDTH;
    FloatVector a0 = FloatVector.fromArray(SPECIES, c, c0);
    FloatVector b0 = FloatVector.fromArray(SPECIES, c, c0 + LANES);
    FloatVector a1 = FloatVector.fromArray(SPECIES, c, c1);
    FloatVector b1 = FloatVector.fromArray(SPECIES, c, c1 + LANES);
    FloatVector a2 = FloatVector.fromArray(SPECIES, c, c2);
    FloatVector b2 = FloatVector.fromArray(SPECIES, c, c2 + LANES);
    FloatVector a3 = FloatVector.fromArray(SPECIES, c, c3);
    FloatVector b3 = FloatVector.fromArray(SPECIES, c, c3 + LANES);
    FloatVector a4 = FloatVector.fromArray(SPECIES, c, c4);
    FloatVector b4 = FloatVector.fromArray(SPECIES, c, c4 + LANES);
    FloatVector a5 = FloatVector.fromArray(SPECIES, c, c5);
    FloatVector b5 = FloatVector.fromArray(SPECIES, c, c5 + LANES);
    FloatVector a6 = FloatVector.fromArray(SPECIES, c, c6);
    FloatVector b6 = FloatVector.fromArray(SPECIES, c, c6 + LANES);
    FloatVector a7 = FloatVector.fromArray(SPECIES, c, c7);
    FloatVector b7 = FloatVector.fromArray(SPECIES, c, c7 + LANES);
    for (int k = 0; k < depth; k++) {
      FloatVector left = FloatVector.fromArray(SPECIES, w, wAt + k * WIDTH);
      FloatVector right = FloatVector.fromArray(SPECIES, w, wAt + k * WIDTH + LANES);
      FloatVector v0 = FloatVector.broadcast(SPECIES, x[x0 + k]);
      a0 = v0.fma(left, a0);
      b0 = v0.fma(right, b0);
      FloatVector v1 = FloatVector.broadcast(SPECIES, x[x1 + k]);
      a1 = v1.fma(left, a1);
      b1 = v1.fma(right, b1);
      FloatVector v2 = FloatVector.broadcast(SPECIES, x[x2 + k]);
      a2 = v2.fma(left, a2);
      b2 = v2.fma(right, b2);
      FloatVector v3 = FloatVector.broadcast(SPECIES, x[x3 + k]);
      a3 = v3.fma(left, a3);
      b3 = v3.fma(right, b3);
      FloatVector v4 = FloatVector.broadcast(SPECIES, x[x4 + k]);
      a4 = v4.fma(left, a4);
      b4 = v4.fma(right, b4);
      FloatVector v5 = FloatVector.broadcast(SPECIES, x[x5 + k]);
      a5 = v5.fma(left, a5);
      b5 = v5.fma(right, b5);
      FloatVector v6 = FloatVector.broadcast(SPECIES, x[x6 + k]);
      a6 = v6.fma(left, a6);
      b6 = v6.fma(right, b6);
      FloatVector v7 = FloatVector.broadcast(SPECIES, x[x7 + k]);
      a7 = v7.fma(left, a7);
      b7 = v7.fma(right, b7);
    }
    a0.intoArray(c, c0);
    b0.intoArray(c, c0 + LANES);
    a1.intoArray(c, c1);
    b1.intoArray(c, c1 + LANES);
    a2.intoArray(c, c2);
    b2.intoArray(c, c2 + LANES);
    a3.intoArray(c, c3);
    b3.intoArray(c, c3 + LANES);
    a4.intoArray(c, c4);
    b4.intoArray(c, c4 + LANES);
    a5.intoArray(c, c5);
    b5.intoArray(c, c5 + LANES);
    a6.intoArray(c, c6);
    b6.intoArray(c, c6 + LANES);
    a7.intoArray(c, c7);
    b7.intoArray(c, c7 + LANES);
  }

  /** 4 rows. */
  private static void tile4(
      int depth, float[] x, int xAt, int xStride, float[] w, int wAt, float[] c, int cAt) {
    int x0 = xAt;
    int x1 = x0 + xStride;
    int x2 = x1 + xStride;
    int x3 = x2 + xStride;
    int c0 = cAt;
    int c1 = c0 + WIDTH;
    int c2 = c1 + WIDTH;
    int c3 = c2 + WIDTH;
    FloatVector a0 = FloatVector.fromArray(SPECIES, c, c0);
    FloatVector b0 = FloatVector.fromArray(SPECIES, c, c0 + LANES);
    FloatVector a1 = FloatVector.fromArray(SPECIES, c, c1);
    FloatVector b1 = FloatVector.fromArray(SPECIES, c, c1 + LANES);
    FloatVector a2 = FloatVector.fromArray(SPECIES, c, c2);
    FloatVector b2 = FloatVector.fromArray(SPECIES, c, c2 + LANES);
    FloatVector a3 = FloatVector.fromArray(SPECIES, c, c3);
    FloatVector b3 = FloatVector.fromArray(SPECIES, c, c3 + LANES);
    for (int k = 0; k < depth; k++) {
      FloatVector left = FloatVector.fromArray(SPECIES, w, wAt + k * WIDTH);
      FloatVector right = FloatVector.fromArray(SPECIES, w, wAt + k * WIDTH + LANES);
      FloatVector v0 = FloatVector.broadcast(SPECIES, x[x0 + k]);
      a0 = v0.fma(left, a0);
      b0 = v0.fma(right, b0);
      FloatVector v1 = FloatVector.broadcast(SPECIES, x[x1 + k]);
      a1 = v1.fma(left, a1);
      b1 = v1.fma(right, b1);
      FloatVector v2 = FloatVector.broadcast(SPECIES, x[x2 + k]);
      a2 = v2.fma(left, a2);
      b2 = v2.fma(right, b2);
      FloatVector v3 = FloatVector.broadcast(SPECIES, x[x3 + k]);
      a3 = v3.fma(left, a3);
      b3 = v3.fma(right, b3);
    }
    a0.intoArray(c, c0);
    b0.intoArray(c, c0 + LANES);
    a1.intoArray(c, c1);
    b1.intoArray(c, c1 + LANES);
    a2.intoArray(c, c2);
    b2.intoArray(c, c2 + LANES);
    a3.intoArray(c, c3);
    b3.intoArray(c, c3 + LANES);
  }

  /** 2 rows. */
  private static void tile2(
      int depth, float[] x, int xAt, int xStride, float[] w, int wAt, float[] c, int cAt) {
    int x0 = xAt;
    int x1 = x0 + xStride;
    int c0 = cAt;
    int c1 = c0 + WIDTH;
    FloatVector a0 = FloatVector.fromArray(SPECIES, c, c0);
    FloatVector b0 = FloatVector.fromArray(SPECIES, c, c0 + LANES);
    FloatVector a1 = FloatVector.fromArray(SPECIES, c, c1);
    FloatVector b1 = FloatVector.fromArray(SPECIES, c, c1 + LANES);
    for (int k = 0; k < depth; k++) {
      FloatVector left = FloatVector.fromArray(SPECIES, w, wAt + k * WIDTH);
      FloatVector right = FloatVector.fromArray(SPECIES, w, wAt + k * WIDTH + LANES);
      FloatVector v0 = FloatVector.broadcast(SPECIES, x[x0 + k]);
      a0 = v0.fma(left, a0);
      b0 = v0.fma(right, b0);
      FloatVector v1 = FloatVector.broadcast(SPECIES, x[x1 + k]);
      a1 = v1.fma(left, a1);
      b1 = v1.fma(right, b1);
    }
    a0.intoArray(c, c0);
    b0.intoArray(c, c0 + LANES);
    a1.intoArray(c, c1);
    b1.intoArray(c, c1 + LANES);
  }

  /** 1 row. */
  private static void tile1(int depth, float[] x, int xAt, float[] w, int wAt, float[] c, int cAt) {
    int x0 = xAt;
    int c0 = cAt;
    FloatVector a0 = FloatVector.fromArray(SPECIES, c, c0);
    FloatVector b0 = FloatVector.fromArray(SPECIES, c, c0 + LANES);
    for (int k = 0; k < depth; k++) {
      FloatVector left = FloatVector.fromArray(SPECIES, w, wAt + k * WIDTH);
      FloatVector right = FloatVector.fromArray(SPECIES, w, wAt + k * WIDTH + LANES);
      FloatVector v0 = FloatVector.broadcast(SPECIES, x[x0 + k]);
      a0 = v0.fma(left, a0);
      b0 = v0.fma(right, b0);
    }
    a0.intoArray(c, c0);
    b0.intoArray(c, c0 + LANES);
  }
}
