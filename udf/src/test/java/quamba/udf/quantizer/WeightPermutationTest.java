package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.udf.Backends;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.Step;

class WeightPermutationTest {
  /**
   * Logits of up to 20, as sums of 24 products around 1, in another order at each of two layers.
   */
  private static final float TOLERANCE = 1e-4f;

  private static final String ONE_GROUP =
      """
      {"d_model": 24, "n_layer": 2, "vocab_size": 40,
       "ssm_cfg": {"layer": "Mamba2", "d_state": 10, "headdim": 6}}""";

  private static final String TWO_GROUPS =
      """
      {"d_model": 24, "n_layer": 2, "vocab_size": 40,
       "ssm_cfg": {"layer": "Mamba2", "d_state": 10, "headdim": 4, "ngroups": 2}}""";

  private static float[] logits(RandomWeights source) {
    int[] ids = IntStream.range(0, 30).map(i -> (i * i + 3) % 40).toArray();
    try (MambaModel model =
        ModelLoader.open(source, Backends.open("cpu", 1), new Capacity(1, 30), 40)) {
      Step step = Step.allocate(1, 30);
      step.clear();
      step.addPartial(0, 0, IntBuffer.wrap(ids));
      float[] logits = new float[30 * model.logitsWidth()];
      int width = model.logitsWidth();
      model.logits(
          step, (first, count, values) -> values.get(logits, first * width, count * width));
      return logits;
    }
  }

  private static List<ChannelGroups> groups(ModelConfig config) {
    Random random = new Random(5);
    List<ChannelGroups> layers = new ArrayList<>();
    for (int layer = 0; layer < config.layers(); layer++) {
      float[] statistic = new float[config.mixer().innerDim()];
      for (int i = 0; i < statistic.length; i++) {
        statistic[i] = random.nextFloat();
      }
      layers.add(ChannelGroups.of(config.mixer().dims(), statistic, new WardClustering()));
    }
    return layers;
  }

  @ParameterizedTest
  @ValueSource(strings = {ONE_GROUP, TWO_GROUPS})
  void permutedModelsSayTheSame(String json) {
    RandomWeights model = new RandomWeights(json);
    List<ChannelGroups> groups = groups(model.parsed());
    FloatWeights original = FloatWeights.of(model);
    RandomWeights permuted =
        model.with(WeightPermutation.of(model.parsed(), groups).over(original));

    String inProj = "backbone.layers.0.mixer.in_proj.weight";
    int channel = groups.get(0).channels()[0];
    assertEquals(
        model.tensor(inProj).data().getFloat(channel * 24 * Float.BYTES),
        permuted.tensor(inProj).data().getFloat(0));
    assertArrayEquals(logits(model), logits(permuted), TOLERANCE);
  }

  @Test
  void otherModelsAreRefused() {
    ModelConfig config = new RandomWeights(ONE_GROUP).parsed();
    List<ChannelGroups> one = groups(config).subList(0, 1);
    assertThrows(IllegalArgumentException.class, () -> WeightPermutation.of(config, one));
    ModelConfig mamba1 =
        new RandomWeights("{\"d_model\": 8, \"n_layer\": 1, \"vocab_size\": 8}").parsed();
    assertThrows(IllegalArgumentException.class, () -> WeightPermutation.of(mamba1, one));
  }
}
