package quamba.udf.quantizer;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelConfig.Mamba2;

/**
 * Puts heads and channels of a Mamba2 model in the order of {@link ChannelGroups} (spec 4.3),
 * without changing its logits: z, x and dt rows of in_proj, the convolution's x part, A_log, D and
 * dt_bias, the gated norm's weight, and the columns of out_proj. B and C stay. To be done before
 * {@link HadamardFold}, whose rotation mixes the channels of out_proj.
 */
public final class WeightPermutation {
  private static final Pattern MIXER = Pattern.compile("backbone\\.layers\\.(\\d+)\\.mixer\\.(.+)");

  private final Mamba2 mixer;
  private final List<ChannelGroups> layers;

  private WeightPermutation(Mamba2 mixer, List<ChannelGroups> layers) {
    this.mixer = mixer;
    this.layers = layers;
  }

  /**
   * The permutation of a model.
   *
   * @param layers groups of each layer
   * @throws IllegalArgumentException if the model is not Mamba2, or has other layers
   */
  public static WeightPermutation of(ModelConfig config, List<ChannelGroups> layers) {
    if (!(config.mixer() instanceof Mamba2 mixer) || layers.size() != config.layers()) {
      throw new IllegalArgumentException(
          "channel groups of %d layers for %d layers of %s"
              .formatted(
                  layers.size(), config.layers(), config.mixer().getClass().getSimpleName()));
    }
    return new WeightPermutation(mixer, List.copyOf(layers));
  }

  /** The permuted weights; a tensor is permuted when it is asked for. */
  public FloatWeights over(FloatWeights original) {
    return name -> {
      float[] values = original.values(name);
      Matcher match = MIXER.matcher(name);
      return match.matches()
          ? permute(match.group(2), values, layers.get(Integer.parseInt(match.group(1))))
          : values;
    };
  }

  private float[] permute(String name, float[] values, ChannelGroups groups) {
    if (name.equals("out_proj.weight")) {
      return columns(values, mixer.innerDim(), groups.channels());
    }
    int[] rows =
        switch (name) {
          case "in_proj.weight" -> projectedRows(groups);
          case "conv1d.weight", "conv1d.bias" -> convRows(groups);
          case "A_log", "D", "dt_bias" -> groups.heads();
          case "norm.weight" -> groups.channels();
          default -> new int[0];
        };
    return rows.length == 0 ? values : rows(values, rows);
  }

  /** z, x, B, C, dt. */
  private int[] projectedRows(ChannelGroups groups) {
    int inner = mixer.innerDim();
    int dt = inner + mixer.convChannels();
    int[] channels = groups.channels();
    int[] heads = groups.heads();
    int[] rows = WeightRounding.natural(mixer.projected());
    for (int i = 0; i < inner; i++) {
      rows[i] = channels[i];
      rows[inner + i] = inner + channels[i];
    }
    for (int i = 0; i < heads.length; i++) {
      rows[dt + i] = dt + heads[i];
    }
    return rows;
  }

  /** x, B, C. */
  private int[] convRows(ChannelGroups groups) {
    int[] rows = WeightRounding.natural(mixer.convChannels());
    System.arraycopy(groups.channels(), 0, rows, 0, mixer.innerDim());
    return rows;
  }

  private static float[] rows(float[] values, int[] rows) {
    int width = values.length / rows.length;
    float[] permuted = new float[values.length];
    for (int row = 0; row < rows.length; row++) {
      System.arraycopy(values, rows[row] * width, permuted, row * width, width);
    }
    return permuted;
  }

  private static float[] columns(float[] values, int width, int[] columns) {
    float[] permuted = new float[values.length];
    for (int at = 0; at < values.length; at += width) {
      for (int column = 0; column < width; column++) {
        permuted[at + column] = values[at + columns[column]];
      }
    }
    return permuted;
  }
}
