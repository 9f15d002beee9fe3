package quamba.udf.quantizer;

import java.util.Arrays;
import java.util.stream.IntStream;
import quamba.kernels.Half;
import quamba.kernels.QuantizedWeight;

/**
 * Rounds each weight to the nearest code of its group's scale. Rows are independent (but for {@link
 * WeightFormat#INT8_TENSOR}), so a large table may be given in pieces. Embedding tables are rounded
 * so too, their scales being of the largest magnitude and not of the largest value (spec 2.6).
 *
 * @param format of the result
 * @param choice how scales are chosen
 * @param threads that work
 */
public record WeightRounding(WeightFormat format, ScaleChoice choice, int threads) {
  /** Rounds with all columns equally important. */
  public QuantizedWeight round(Matrix weight) {
    float[] importance = new float[weight.in()];
    Arrays.fill(importance, 1);
    return round(weight, importance);
  }

  /**
   * Rounds with the squared error of a column weighted.
   *
   * @param importance (in), the diagonal of the layer's Hessian for example
   * @throws IllegalArgumentException if a weight is not finite, or is too large for a scale of
   *     binary16, or the width has no 4-bit form
   */
  public QuantizedWeight round(Matrix weight, float[] importance) {
    checkFinite(weight);
    CodeRows codes = new CodeRows(format, weight);
    if (format == WeightFormat.INT8_TENSOR) {
      float scale = TensorScale.choose(choice, weight, importance);
      RowTile.forEach(
          weight.out(), threads, (first, rows) -> roundTensor(weight, first, scale, codes));
    } else {
      RowTile.forEach(
          weight.out(), threads, (first, rows) -> roundTile(weight, first, importance, codes));
    }
    return codes.packed();
  }

  private void roundTile(Matrix weight, int first, float[] importance, CodeRows codes) {
    RowTile tile = RowTile.of(weight, first, natural(weight.in()));
    StaticScales scales = StaticScales.choose(format, choice, tile.values(), importance);
    float[] rounded = new float[RowTile.LANES];
    float[] values = new float[RowTile.LANES];
    for (int column = 0; column < weight.in(); column++) {
      scales.use(column);
      scales.grid().round(tile.values(), column * RowTile.LANES, rounded, 0, values, 0);
      codes.putCodes(first, tile.rows(), column, rounded, 0);
    }
    codes.putScales(first, tile.rows(), scales.scales());
  }

  private void roundTensor(Matrix weight, int first, float scale, CodeRows codes) {
    RowTile tile = RowTile.of(weight, first, natural(weight.in()));
    float[] scales = new float[RowTile.LANES];
    Arrays.fill(scales, scale);
    LaneGrid grid = new LaneGrid(format);
    grid.setScales(scales, 0);
    float[] rounded = new float[RowTile.LANES];
    float[] values = new float[RowTile.LANES];
    for (int column = 0; column < weight.in(); column++) {
      grid.round(tile.values(), column * RowTile.LANES, rounded, 0, values, 0);
      codes.putCodes(first, tile.rows(), column, rounded, 0);
    }
    codes.putScales(first, tile.rows(), scales);
  }

  /** 0 … in − 1. */
  static int[] natural(int in) {
    return IntStream.range(0, in).toArray();
  }

  /** Refuses weights that no code can stand for. */
  static void checkFinite(Matrix weight) {
    float most = Float.POSITIVE_INFINITY;
    for (int i = 0; i < weight.values().length; i++) {
      float value = weight.values()[i];
      if (!(Math.abs(Half.round(value)) < most)) {
        throw new IllegalArgumentException(
            "weight (%d, %d) is %s: weights must be finite and within ±65504"
                .formatted(i / weight.in(), i % weight.in(), value));
      }
    }
  }
}
