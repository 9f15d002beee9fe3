package quamba.job;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import quamba.udf.PartitionTask.Defaults;
import quamba.udf.Weights;

/**
 * All that decides what an output holds, by the names of the flags. What only decides how fast it
 * is made (slots, device, executors) is left out.
 */
record Fingerprint(SortedMap<String, String> values) {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  static Fingerprint of(JobConfig config, Weights weights, InputFiles files) {
    SortedMap<String, String> values = new TreeMap<>();
    values.put("model", weights.id());
    values.put("input", files.identity());
    values.put("input-format", config.input().format().toString());
    values.put("prompt", config.input().prompting().toString());
    values.put("key", config.input().key().orElse(""));
    values.put("format", config.output().format().toString());
    values.put("output-column", config.output().column());
    values.put("sort-by-key", String.valueOf(config.output().writing().sorted()));
    values.put("state", config.execution().state().toString());
    Defaults defaults = config.defaults();
    values.put("sampling", defaults.sampling().toString());
    values.put("max-tokens", String.valueOf(defaults.limits().maxTokens()));
    values.put("max-prompt-tokens", String.valueOf(defaults.maxPromptTokens()));
    values.put("stop", json(defaults.limits().stop()));
    return new Fingerprint(values);
  }

  /** Reads what {@link #toString} wrote. */
  static Fingerprint parse(String text) {
    try {
      return new Fingerprint(JSON.readValue(text, new TypeReference<TreeMap<String, String>>() {}));
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException("no fingerprint: " + e.getOriginalMessage(), e);
    }
  }

  /** One line for each value that is another one here, for people. */
  List<String> differences(Fingerprint now) {
    TreeSet<String> names = new TreeSet<>(values.keySet());
    names.addAll(now.values.keySet());
    List<String> differences = new ArrayList<>();
    for (String name : names) {
      String before = values.getOrDefault(name, "nothing");
      String after = now.values.getOrDefault(name, "nothing");
      if (!before.equals(after)) {
        differences.add("%s was %s, is now %s".formatted(name, before, after));
      }
    }
    return differences;
  }

  /** As JSON. */
  @Override
  public String toString() {
    return json(values);
  }

  private static String json(Object value) {
    try {
      return JSON.writeValueAsString(value);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("texts are always JSON", e);
    }
  }
}
