package quamba.udf.quantizer;

/** The product {@code c (rows, LANES) += a (rows, depth) · b (depth, LANES)} of tiles. */
final class LaneProduct {
  private static final int LANES = RowTile.LANES;
  private static final int UNROLL = 8;

  /** Rows of b that stay in the first-level cache while all rows of a pass by. */
  private static final int DEPTH = 32;

  private LaneProduct() {}

  /**
   * Adds a product. Terms of a sum are added in the order of depth, whatever the rows.
   *
   * @param a (rows, depth) at {@code aAt}, {@code stride} apart
   * @param b (depth, LANES) at {@code bAt}
   * @param c (rows, LANES) at {@code cAt}
   */
  static void add(
      int rows, int depth, float[] a, int aAt, int stride, float[] b, int bAt, float[] c, int cAt) {
    for (int from = 0; from < depth; from += DEPTH) {
      int to = Math.min(depth, from + DEPTH);
      for (int row = 0; row < rows; row++) {
        int k = from;
        for (; k <= to - UNROLL; k += UNROLL) {
          addEight(a, aAt + row * stride + k, b, bAt + k * LANES, c, cAt + row * LANES);
        }
        for (; k < to; k++) {
          addOne(a[aAt + row * stride + k], b, bAt + k * LANES, c, cAt + row * LANES);
        }
      }
    }
  }

  private static void addEight(float[] a, int aAt, float[] b, int bAt, float[] c, int cAt) {
    float a0 = a[aAt];
    float a1 = a[aAt + 1];
    float a2 = a[aAt + 2];
    float a3 = a[aAt + 3];
    float a4 = a[aAt + 4];
    float a5 = a[aAt + 5];
    float a6 = a[aAt + 6];
    float a7 = a[aAt + 7];
    for (int lane = 0; lane < LANES; lane++) {
      float sum = Math.fma(a0, b[bAt + lane], c[cAt + lane]);
      sum = Math.fma(a1, b[bAt + LANES + lane], sum);
      sum = Math.fma(a2, b[bAt + 2 * LANES + lane], sum);
      sum = Math.fma(a3, b[bAt + 3 * LANES + lane], sum);
      sum = Math.fma(a4, b[bAt + 4 * LANES + lane], sum);
      sum = Math.fma(a5, b[bAt + 5 * LANES + lane], sum);
      sum = Math.fma(a6, b[bAt + 6 * LANES + lane], sum);
      c[cAt + lane] = Math.fma(a7, b[bAt + 7 * LANES + lane], sum);
    }
  }

  private static void addOne(float a, float[] b, int bAt, float[] c, int cAt) {
    for (int lane = 0; lane < LANES; lane++) {
      c[cAt + lane] = Math.fma(a, b[bAt + lane], c[cAt + lane]);
    }
  }
}
