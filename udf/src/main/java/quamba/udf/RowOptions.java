package quamba.udf;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import quamba.udf.engine.Request.Limits;
import quamba.udf.model.Sampling;

/**
 * How one row is sampled: the job's defaults, and over them the row's own columns. Numbers may come
 * as text, because a CSV file has nothing else, and whole numbers as 8.0, because that is what data
 * frames make of them.
 */
record RowOptions(Sampling sampling, Limits limits) {
  private static final ObjectMapper JSON =
      new ObjectMapper(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder().maxStringLength(Integer.MAX_VALUE).build())
                  .build())
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

  /**
   * Reads a row's options, null for none.
   *
   * @throws IllegalArgumentException naming the option that is out of range or of the wrong type
   */
  static RowOptions of(String options, PartitionTask.Defaults defaults) {
    if (options == null) {
      return new RowOptions(defaults.sampling(), defaults.limits());
    }
    JsonNode row = parse(options);
    Sampling sampling = defaults.sampling();
    Limits limits = defaults.limits();
    return new RowOptions(
        new Sampling(
            real(row, "temperature", sampling.temperature()),
            whole(row, "top_k", sampling.topK()),
            real(row, "top_p", sampling.topP()),
            real(row, "min_p", sampling.minP()),
            real(row, "repetition_penalty", sampling.repetitionPenalty()),
            integer(row, "seed", sampling.seed())),
        new Limits(whole(row, "max_tokens", limits.maxTokens()), stop(row, limits.stop())));
  }

  private static JsonNode parse(String options) {
    try {
      return JSON.readTree(options);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a reader made options that are no JSON", e);
    }
  }

  private static float real(JsonNode row, String name, float otherwise) {
    BigDecimal number = number(row, name);
    return number == null ? otherwise : number.floatValue();
  }

  private static int whole(JsonNode row, String name, int otherwise) {
    long number = integer(row, name, otherwise);
    if (number != (int) number) {
      throw new IllegalArgumentException(name + " must be a number of 32 bits, found " + number);
    }
    return (int) number;
  }

  private static long integer(JsonNode row, String name, long otherwise) {
    BigDecimal number = number(row, name);
    if (number == null) {
      return otherwise;
    }
    try {
      return number.longValueExact();
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException(
          name + " must be a whole number of at most 64 bits, found another number", e);
    }
  }

  private static BigDecimal number(JsonNode row, String name) {
    JsonNode value = row.path(name);
    if (value.isMissingNode() || value.isNull()) {
      return null;
    }
    try {
      if (value.isNumber() || value.isTextual()) {
        return new BigDecimal(value.asText().strip());
      }
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(name + " must be a number, found other text", e);
    }
    throw new IllegalArgumentException(name + " must be a number, found " + value.getNodeType());
  }

  private static List<String> stop(JsonNode row, List<String> otherwise) {
    JsonNode value = row.path("stop");
    if (value.isMissingNode() || value.isNull()) {
      return otherwise;
    }
    List<String> texts = new ArrayList<>();
    for (JsonNode text : value.isArray() ? value : List.of(value)) {
      if (!text.isTextual()) {
        throw new IllegalArgumentException(
            "stop must be a text or a list of texts, found " + text.getNodeType());
      }
      texts.add(text.asText());
    }
    return texts;
  }
}
