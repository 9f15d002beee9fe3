package quamba.udf.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.StreamSupport;
import quamba.kernels.Scan;
import quamba.udf.checkpoint.InvalidCheckpointException;

/**
 * An object of config.json. Every accessor refuses what it cannot use by key, expected and found; a
 * null counts as an absent key, as in Python.
 */
final class ConfigObject {
  /** Far over any model's extents, and low enough that sums and doubles of extents fit an int. */
  static final int MAX_SIZE = 1 << 26;

  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final JsonNode object;
  private final String path;

  private ConfigObject(JsonNode object, String path) {
    this.object = object;
    this.path = path;
  }

  static ConfigObject parse(String json) {
    JsonNode root;
    try {
      root = JSON.readTree(json);
    } catch (JsonProcessingException e) {
      throw new InvalidCheckpointException("config.json is not JSON: " + e.getOriginalMessage(), e);
    }
    if (!root.isObject()) {
      throw new InvalidCheckpointException("config.json must be an object, found " + root);
    }
    return new ConfigObject(root, "");
  }

  /** The exception for {@code key}, saying what it must be and what was found. */
  InvalidCheckpointException refusal(String key, String expected) {
    JsonNode found = object.path(key);
    return new InvalidCheckpointException(
        "config.json: %s%s must be %s, found %s"
            .formatted(path, key, expected, found.isMissingNode() ? "nothing" : found));
  }

  boolean has(String key) {
    return object.hasNonNull(key);
  }

  /** The object at {@code key}, empty if there is none. */
  ConfigObject child(String key) {
    JsonNode child = has(key) ? object.get(key) : JsonNodeFactory.instance.objectNode();
    if (!child.isObject()) {
      throw refusal(key, "an object");
    }
    return new ConfigObject(child, path + key + ".");
  }

  /** Refuses keys that are not in {@code known}. */
  void requireKnown(Set<String> known) {
    Set<String> unknown = new TreeSet<>();
    object.fieldNames().forEachRemaining(unknown::add);
    unknown.removeAll(known);
    for (String key : unknown) {
      if (has(key)) {
        throw refusal(key, "absent (an option that is not known here)");
      }
    }
  }

  /** An extent. */
  int size(String key) {
    JsonNode value = object.path(key);
    if (!value.isIntegralNumber() || !fits(value.doubleValue())) {
      throw refusal(key, "a whole number from 1 to " + MAX_SIZE);
    }
    return value.intValue();
  }

  int size(String key, int absent) {
    return has(key) ? size(key) : absent;
  }

  /** An extent, or null or "auto" for {@code automatic}. */
  int sizeOrAuto(String key, int automatic) {
    return object.path(key).asText().equals("auto") ? automatic : size(key, automatic);
  }

  /** {@code size} times the number at {@code key}, cut to a whole number. */
  int multiple(int size, String key, double absent) {
    double product = size * number(key, absent);
    if (!fits(product)) {
      throw refusal(key, "such that %d times it is from 1 to %d".formatted(size, MAX_SIZE));
    }
    return (int) product;
  }

  private static boolean fits(double size) {
    return size >= 1 && size <= MAX_SIZE;
  }

  /** A finite number over 0. */
  float positive(String key, double absent) {
    float value = (float) number(key, absent);
    if (!(value > 0 && Float.isFinite(value))) {
      throw refusal(key, "over 0 and finite");
    }
    return value;
  }

  private double number(String key, double absent) {
    if (!has(key)) {
      return absent;
    }
    if (!object.get(key).isNumber()) {
      throw refusal(key, "a number");
    }
    return object.get(key).doubleValue();
  }

  /** Bounds of dt, two numbers; none if absent. */
  Scan.Limit limit(String key) {
    if (!has(key)) {
      return Scan.Limit.NONE;
    }
    JsonNode pair = object.get(key);
    float min = bound(pair.path(0));
    float max = bound(pair.path(1));
    if (pair.size() != 2 || !(min >= 0 && min <= max)) {
      throw refusal(key, "two numbers, 0 <= lower <= upper");
    }
    return new Scan.Limit(min, max);
  }

  /** JSON knows no infinity, so writers differ: Infinity, "inf", {"__float__": "Infinity"}. */
  private static float bound(JsonNode value) {
    String text = value.isObject() ? value.path("__float__").asText() : value.asText();
    if (Set.of("inf", "Infinity").contains(text)) {
      return Float.POSITIVE_INFINITY;
    }
    return value.isNumber() ? value.floatValue() : Float.NaN;
  }

  /** A whole number at least 0, a list of them, or none. */
  List<Integer> ids(String key) {
    List<Integer> ids = new ArrayList<>();
    if (has(key)) {
      JsonNode value = object.get(key);
      for (JsonNode id : value.isArray() ? value : List.of(value)) {
        if (!id.canConvertToExactIntegral() || !id.canConvertToInt() || id.intValue() < 0) {
          throw refusal(key, "an id or a list of ids");
        }
        ids.add(id.intValue());
      }
    }
    return ids;
  }

  /** A text, or {@code absent}. */
  String text(String key, String absent) {
    if (!has(key)) {
      return absent;
    }
    if (!object.get(key).isTextual()) {
      throw refusal(key, "a text");
    }
    return object.get(key).textValue();
  }

  /** The texts of the list at {@code key}; none if it is absent. */
  List<String> texts(String key) {
    return StreamSupport.stream(object.path(key).spliterator(), false)
        .map(JsonNode::asText)
        .toList();
  }

  /** Whether {@code key} is there and true. */
  boolean isTrue(String key) {
    return flag(key, "true");
  }

  /** Whether {@code key} is there and false. */
  boolean isFalse(String key) {
    return flag(key, "false");
  }

  private boolean flag(String key, String wanted) {
    if (has(key) && !object.get(key).isBoolean()) {
      throw refusal(key, "true or false");
    }
    return object.path(key).asText().equals(wanted);
  }

  /** Refuses a {@code key} that is there and not true. */
  void requireTrue(String key) {
    if (isFalse(key)) {
      throw refusal(key, "true");
    }
  }

  /** Refuses a {@code key} that is there and not false. */
  void requireFalse(String key) {
    if (isTrue(key)) {
      throw refusal(key, "false");
    }
  }

  /** Refuses a {@code key} that is there and not 0. */
  void requireZero(String key) {
    if (number(key, 0) != 0) {
      throw refusal(key, "0");
    }
  }

  /** Refuses a {@code key} that is there and not {@code size}. */
  void requireSize(String key, int size) {
    if (size(key, size) != size) {
      throw refusal(key, String.valueOf(size));
    }
  }

  /** Refuses a list or object with anything in it. */
  void requireEmpty(String key) {
    if (has(key) && (!object.get(key).isContainerNode() || !object.get(key).isEmpty())) {
      throw refusal(key, "empty");
    }
  }
}
