package quamba.udf.recipe;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import quamba.udf.checkpoint.InvalidCheckpointException;

/** Rewrites config.json, which keeps all that it says besides. */
final class ConfigText {
  // An unlimited time step is written as Infinity.
  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
          .build();

  private static final List<String> LAYERS = List.of("n_layer", "num_hidden_layers");
  private static final List<String> TIES = List.of("tie_embeddings", "tie_word_embeddings");

  private ConfigText() {}

  /** The configuration of a quantized model whose head has a matrix of its own. */
  static String quantized(String json, String scheme, String rotation, Map<String, Object> recipe) {
    ObjectNode root = parse(json);
    root.put(root.has("d_model") ? TIES.get(0) : TIES.get(1), false);
    ObjectNode section = root.putObject("quantization");
    section.put("version", 1);
    section.put("scheme", scheme);
    section.put("rotation", rotation);
    return withRecipe(text(root), recipe);
  }

  /** The configuration of a quantized model with another account of how it was made. */
  static String withRecipe(String json, Map<String, Object> recipe) {
    ObjectNode root = parse(json);
    ((ObjectNode) root.get("quantization")).set("recipe", MAPPER.valueToTree(recipe));
    return text(root);
  }

  /** The configuration of a model's first layers. */
  static String truncated(String json, int layers) {
    ObjectNode root = parse(json);
    LAYERS.stream().filter(root::has).forEach(key -> root.put(key, layers));
    return text(root);
  }

  private static ObjectNode parse(String json) {
    try {
      return (ObjectNode) MAPPER.readTree(json);
    } catch (JsonProcessingException e) {
      throw new InvalidCheckpointException("config.json: " + e.getOriginalMessage(), e);
    }
  }

  private static String text(ObjectNode root) {
    try {
      return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(root) + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a tree is always JSON", e);
    }
  }
}
