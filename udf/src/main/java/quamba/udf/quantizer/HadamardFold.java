package quamba.udf.quantizer;

import java.util.Arrays;
import quamba.kernels.Hadamard;
import quamba.udf.model.ModelConfig;

/**
 * Rotates a model so that outliers spread over all channels (spec section 5), without changing its
 * logits. With H of modelDim (d) and innerDim (D), both orthonormal:
 *
 * <pre>
 *   embedding row e → H_d e                 the residual stream is rotated
 *   in_proj row w   → H_d (w ⊙ norm)        the block's norm weight becomes 1
 *   lm_head row w   → H_d (w ⊙ norm_f)      norm_f becomes 1
 *   out_proj W      → H_d W H_Dᵀ            its input is rotated by H_D while the model runs
 * </pre>
 *
 * A norm commutes with a rotation once its weight is 1. Everything between in_proj and out_proj
 * stays, the gated norm's weight too. The same holds of both families: x, z and the scan of Mamba1
 * lie between in_proj and out_proj as well, so its residual stream is rotated like Mamba2's, which
 * makes the inputs of in_proj and of the logits, and the rows of the embedding, easier to round.
 *
 * <p>The head needs a tensor of its own afterwards, as it is no longer the embedding. Sums are
 * taken in double precision.
 */
public final class HadamardFold {
  private static final String FINAL_NORM = "backbone.norm_f.weight";
  private static final String NORM = ".norm.weight";
  private static final String GATED_NORM = ".mixer.norm.weight";
  private static final String IN_PROJ = ".mixer.in_proj.weight";
  private static final String OUT_PROJ = ".mixer.out_proj.weight";

  /** Columns of out_proj that are copied together, for they lie apart in memory. */
  private static final int STRIP = 16;

  private final Hadamard model;
  private final Hadamard inner;

  private HadamardFold(Hadamard model, Hadamard inner) {
    this.model = model;
    this.inner = inner;
  }

  /**
   * The fold of a model of these widths.
   *
   * @throws IllegalArgumentException if there is no Hadamard matrix for one of them
   */
  public static HadamardFold of(ModelConfig config) {
    return new HadamardFold(Hadamard.of(config.modelDim()), Hadamard.of(config.mixer().innerDim()));
  }

  /** The folded weights; a tensor is folded when it is asked for, from those it depends on. */
  public FloatWeights over(FloatWeights original) {
    return name -> fold(name, original);
  }

  private float[] fold(String name, FloatWeights original) {
    float[] values = original.values(name);
    if (name.equals(FloatWeights.EMBEDDING)) {
      float[] ones = new float[model.size()];
      Arrays.fill(ones, 1);
      rotateRows(values, ones);
    } else if (name.equals(FloatWeights.HEAD)) {
      rotateRows(values, original.values(FINAL_NORM));
    } else if (name.endsWith(IN_PROJ)) {
      String layer = name.substring(0, name.length() - IN_PROJ.length());
      rotateRows(values, original.values(layer + NORM));
    } else if (name.endsWith(OUT_PROJ)) {
      rotateBoth(values);
    } else if (name.equals(FINAL_NORM) || (name.endsWith(NORM) && !name.endsWith(GATED_NORM))) {
      Arrays.fill(values, 1);
    }
    return values;
  }

  private void rotateRows(float[] values, float[] norm) {
    int width = model.size();
    double[] row = new double[width];
    for (int at = 0; at < values.length; at += width) {
      for (int i = 0; i < width; i++) {
        row[i] = (double) values[at + i] * norm[i];
      }
      model.apply(row, 0);
      for (int i = 0; i < width; i++) {
        values[at + i] = (float) row[i];
      }
    }
  }

  /** Rows by the inner transform, then columns by the model's. */
  private void rotateBoth(float[] values) {
    int rows = model.size();
    int width = inner.size();
    double[] rotated = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      rotated[i] = values[i];
    }
    for (int at = 0; at < values.length; at += width) {
      inner.apply(rotated, at);
    }
    double[] columns = new double[STRIP * rows];
    for (int first = 0; first < width; first += STRIP) {
      int count = Math.min(STRIP, width - first);
      for (int row = 0; row < rows; row++) {
        for (int i = 0; i < count; i++) {
          columns[i * rows + row] = rotated[row * width + first + i];
        }
      }
      for (int i = 0; i < count; i++) {
        model.apply(columns, i * rows);
      }
      for (int row = 0; row < rows; row++) {
        for (int i = 0; i < count; i++) {
          values[row * width + first + i] = (float) columns[i * rows + row];
        }
      }
    }
  }
}
