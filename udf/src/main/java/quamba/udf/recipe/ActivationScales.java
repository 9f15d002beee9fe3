package quamba.udf.recipe;

import java.util.Arrays;
import java.util.stream.IntStream;
import quamba.kernels.HostTensor;
import quamba.kernels.Scan;
import quamba.kernels.Shape;
import quamba.udf.calibration.Range;
import quamba.udf.calibration.Ranges;
import quamba.udf.calibration.Site;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.QuantizedNames;
import quamba.udf.model.QuantizedNames.Tap;
import quamba.udf.recipe.Recipe.Technique;

/**
 * Scales of int8 activations out of what calibration saw. Where all columns share a scale, it is
 * the one with the least squared error, which may clip; else columns, or groups of them, have
 * scales of their own, of the largest magnitude. What only meets a convolution or a gate has a
 * scale for every column, which costs nothing there. dt stays in floating point.
 */
final class ActivationScales {
  private static final int MOST = 127;
  private static final int FRACTIONS = 60;
  private static final float STEP = 0.015f;
  private static final float LEAST = 1e-6f;

  private final ModelConfig config;
  private final Recipe recipe;
  private final Ranges ranges;

  ActivationScales(ModelConfig config, Recipe recipe, Ranges ranges) {
    this.config = config;
    this.recipe = recipe;
    this.ranges = ranges;
  }

  /**
   * Puts the scales of a layer in.
   *
   * @param groups (innerDim) of the channels of x after a Mamba2 convolution, 0, 1, …
   */
  void put(DraftModel draft, int layer, int... groups) {
    put(draft, layer, Tap.IN_PROJ_INPUT, shared(layer, Tap.IN_PROJ_INPUT));
    put(draft, layer, Tap.OUT_PROJ_INPUT, shared(layer, Tap.OUT_PROJ_INPUT));
    put(draft, layer, Tap.Z, own(layer, Tap.Z));
    put(draft, layer, Tap.X_IN, own(layer, Tap.X_IN));
    put(draft, layer, Tap.B_OUT, states(layer, Tap.B_OUT));
    put(draft, layer, Tap.C_OUT, states(layer, Tap.C_OUT));
    if (config.mixer() instanceof Mamba1) {
      put(draft, layer, Tap.X_OUT, shared(layer, Tap.X_OUT));
      put(draft, layer, Tap.DT_PROJ_INPUT, shared(layer, Tap.DT_PROJ_INPUT));
    } else {
      put(draft, layer, Tap.B_IN, own(layer, Tap.B_IN));
      put(draft, layer, Tap.C_IN, own(layer, Tap.C_IN));
      boolean one = Arrays.stream(groups).allMatch(group -> group == 0);
      put(
          draft,
          layer,
          Tap.X_OUT,
          one ? new float[] {shared(layer, Tap.X_OUT)} : grouped(layer, Tap.X_OUT, groups));
    }
  }

  /**
   * Puts scales of a layer's state in: one for each state index of each head, over all its
   * channels.
   */
  void putState(DraftModel draft, int layer) {
    Scan.Dims dims = config.mixer().dims();
    float[] most = ranges.of(new Site(layer, Tap.STATE)).most();
    float[] scales = new float[dims.heads() * dims.stateDim()];
    Arrays.fill(scales, LEAST);
    for (int i = 0; i < most.length; i++) {
      int head = i / (dims.headDim() * dims.stateDim());
      int at = head * dims.stateDim() + i % dims.stateDim();
      scales[at] = Math.max(scales[at], most[i] / MOST);
    }
    draft.put(
        QuantizedNames.scale(layer, Tap.STATE),
        HostTensor.of(Shape.of(dims.heads(), 1, dims.stateDim()), scales));
  }

  private static void put(DraftModel draft, int layer, Tap tap, float... scales) {
    draft.put(QuantizedNames.scale(layer, tap), HostTensor.of(Shape.of(scales.length), scales));
  }

  /** The one scale of a tap. */
  float shared(int layer, Tap tap) {
    Range range = ranges.of(new Site(layer, tap));
    float most = range.mostOfAll();
    float best = Math.max(LEAST, most / MOST);
    double least = range.error(best, MOST);
    for (int i = 1; i < FRACTIONS; i++) {
      float scale = Math.max(LEAST, most * (1 - i * STEP) / MOST);
      double error = range.error(scale, MOST);
      if (error < least) {
        least = error;
        best = scale;
      }
    }
    return best;
  }

  /** Share of a tap's values that its one scale clips. */
  double saturated(int layer, Tap tap) {
    return ranges.of(new Site(layer, tap)).shareAbove((MOST + 0.5f) * shared(layer, tap));
  }

  /** Of B or C: Mamba2 has a scale for each state group, Mamba1, whose group is small, for all. */
  private float[] states(int layer, Tap tap) {
    if (!recipe.uses(Technique.STATE_GROUPS)) {
      return new float[] {shared(layer, tap)};
    }
    if (config.mixer() instanceof Mamba1) {
      return own(layer, tap);
    }
    Scan.Dims dims = config.mixer().dims();
    int columns = dims.groups() * dims.stateDim();
    return grouped(layer, tap, IntStream.range(0, columns).map(i -> i / dims.stateDim()).toArray());
  }

  private float[] own(int layer, Tap tap) {
    int columns = ranges.of(new Site(layer, tap)).most().length;
    return grouped(layer, tap, IntStream.range(0, columns).toArray());
  }

  private float[] grouped(int layer, Tap tap, int... groups) {
    float[] most = ranges.of(new Site(layer, tap)).most();
    float[] largest = new float[Arrays.stream(groups).max().orElse(0) + 1];
    for (int i = 0; i < most.length; i++) {
      largest[groups[i]] = Math.max(largest[groups[i]], most[i]);
    }
    float[] scales = new float[most.length];
    for (int i = 0; i < most.length; i++) {
      scales[i] = Math.max(LEAST, largest[groups[i]] / MOST);
    }
    return scales;
  }
}
