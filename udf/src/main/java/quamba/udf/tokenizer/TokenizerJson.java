package quamba.udf.tokenizer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What Java needs to know of a {@code tokenizer.json}: its vocabulary, and how its tokens become
 * text. The constructor refuses what cannot be told to decode the same piece by piece as at once.
 */
final class TokenizerJson {
  // The native library aborts the process where a decoder's JSON is one that it cannot read; it
  // reads 127 levels.
  private static final ObjectMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder().maxNestingDepth(100).build())
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private static final int HIGHEST_ID = (1 << 24) - 1; // bounds the memory of tables by id

  private final Map<String, Integer> ids = new HashMap<>();
  private final Map<Integer, String> tokens = new HashMap<>();
  private final String text;
  private final int vocabulary;
  private final boolean byteLevel;

  /**
   * Reads the file's bytes.
   *
   * @throws IllegalArgumentException if they are no tokenizer.json, or one that is not supported
   */
  TokenizerJson(byte[] json) {
    JsonNode root = tree(json);
    JsonNode model = root.path("model");
    require(model.path("vocab").isContainerNode(), "it has no model.vocab");
    require(
        model.path("dropout").asDouble(0) == 0,
        "model.dropout is set, which makes the ids of a text random");
    addVocabulary(model.path("vocab"));
    addAddedTokens(root.path("added_tokens"), model.path("vocab").size());
    vocabulary = 1 + tokens.keySet().stream().mapToInt(Integer::intValue).max().orElse(-1);
    text = text(root);
    List<JsonNode> steps = new ArrayList<>();
    addSteps(root.path("decoder"), steps);
    byteLevel = isByteLevel(steps);
    if (!byteLevel) {
      requireLocal(steps);
    }
  }

  /** The same JSON as it was understood here: what the native library is to read. */
  String text() {
    return text;
  }

  /** Token to id. */
  Map<String, Integer> ids() {
    return ids;
  }

  /** Id to token. */
  Map<Integer, String> tokens() {
    return tokens;
  }

  /** Highest id + 1. */
  int vocabulary() {
    return vocabulary;
  }

  /** Whether tokens are written byte by byte in GPT-2's table. */
  boolean isByteLevel() {
    return byteLevel;
  }

  private static JsonNode tree(byte[] json) {
    try {
      JsonNode root = MAPPER.readTree(json);
      require(root != null && root.isObject(), "it is no JSON object");
      return root;
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "tokenizer.json is not valid: it is no JSON: " + e.getMessage(), e);
    }
  }

  private static String text(JsonNode root) {
    String text = root.toString();
    try {
      UnpairedSurrogates.refuse(text);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("tokenizer.json is not valid: " + e.getMessage(), e);
    }
    return text;
  }

  private void addVocabulary(JsonNode vocab) {
    if (vocab.isObject()) {
      vocab.properties().forEach(entry -> add(entry.getKey(), id(entry.getValue())));
    } else { // Unigram: pairs of token and score, in the order of their ids
      for (int id = 0; id < vocab.size(); id++) {
        add(vocab.get(id).path(0).asText(), id);
      }
    }
  }

  private void addAddedTokens(JsonNode added, int modelSize) {
    int next = modelSize;
    for (JsonNode entry : added) {
      String content = entry.path("content").asText();
      if (!content.isEmpty()) {
        // The library goes by the order of the list, not by the ids written there: so do we.
        int id = ids.getOrDefault(content, next);
        add(content, id);
        next = Math.max(next, id + 1);
      }
    }
  }

  private void add(String token, int id) {
    ids.put(token, id);
    tokens.put(id, token);
  }

  private static int id(JsonNode value) {
    require(
        value.isIntegralNumber() && value.asLong() >= 0 && value.asLong() <= HIGHEST_ID,
        "an id of model.vocab is no number from 0 to " + HIGHEST_ID);
    return value.asInt();
  }

  private static void addSteps(JsonNode decoder, List<JsonNode> steps) {
    if (decoder.path("type").asText().equals("Sequence")) {
      decoder.path("decoders").forEach(step -> addSteps(step, steps));
    } else if (decoder.isObject()) {
      steps.add(decoder);
    }
  }

  private static boolean isByteLevel(List<JsonNode> steps) {
    return !steps.isEmpty()
        && type(steps.get(0)).equals("ByteLevel")
        && steps.stream().skip(1).allMatch(step -> type(step).equals("Fuse"));
  }

  /**
   * Refuses decoders in which the text of a token depends on more than the tokens before it, or
   * more than the last of those: {@link WindowedStream} could not tell when text is certain.
   */
  private static void requireLocal(List<JsonNode> steps) {
    long strips = steps.stream().filter(step -> type(step).equals("Strip")).count();
    boolean fused = false;
    for (JsonNode step : steps) {
      boolean local =
          switch (type(step)) {
            case "Fuse" -> true;
            // Stripping at the end is not certain before the end; it also makes the library abort.
            // Two that strip at the front could reach past a token.
            case "Strip" ->
                strips == 1 && step.path("start").asInt() <= 1 && step.path("stop").asInt() == 0;
            case "Replace" -> !fused && !step.path("content").asText().isEmpty();
            case "ByteFallback" -> !fused;
            case "Metaspace" -> !fused && strips == 0;
            case "WordPiece" -> steps.size() == 1;
            default -> false;
          };
      require(local, "decoding by " + type(step) + " as it is used there is not supported");
      fused |= type(step).equals("Fuse");
    }
  }

  private static String type(JsonNode step) {
    return step.path("type").asText();
  }

  private static void require(boolean condition, String otherwise) {
    if (!condition) {
      throw new IllegalArgumentException("tokenizer.json is not valid: " + otherwise);
    }
  }
}
