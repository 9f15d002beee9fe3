package quamba.udf.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.util.ByteBufferBackedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * JSON of files that nobody vouches for: UTF-8 only, no duplicate keys, depth and lengths bound.
 */
final class StrictJson {
  /** Largest JSON file that is read whole: configurations, indexes and manifests have kilobytes. */
  static final int FILE_BYTES_MAX = 4 << 20;

  // Python writes Infinity for an unlimited time step, so non-numeric numbers are let through.
  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(32)
                  .maxNumberLength(64)
                  .maxNameLength(4096)
                  .maxStringLength(1 << 20)
                  .build())
          .build();
  private static final ObjectMapper MAPPER =
      JsonMapper.builder(FACTORY).enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  private StrictJson() {}

  /** A streaming parser of UTF-8 text. */
  static JsonParser parser(ByteBuffer text) throws IOException {
    return FACTORY.createParser(
        new InputStreamReader(
            new ByteBufferBackedInputStream(text), StandardCharsets.UTF_8.newDecoder()));
  }

  /** A mapper for writing; its output depends on nothing but the value. */
  static ObjectMapper mapper() {
    return MAPPER;
  }

  /**
   * The text of a JSON file.
   *
   * @throws InvalidCheckpointException if it cannot be read, is too long or is no UTF-8
   */
  static String text(Path file) {
    byte[] bytes;
    try (InputStream in = Files.newInputStream(file)) {
      bytes = in.readNBytes(FILE_BYTES_MAX + 1);
    } catch (IOException e) {
      throw new InvalidCheckpointException(file + ": cannot be read: " + e, e);
    }
    if (bytes.length > FILE_BYTES_MAX) {
      throw new InvalidCheckpointException(
          "%s: expected at most %d bytes, found more".formatted(file, FILE_BYTES_MAX));
    }
    return utf8(file.toString(), ByteBuffer.wrap(bytes));
  }

  /**
   * The object that {@code text} is.
   *
   * @param where the beginning of the message
   * @throws InvalidCheckpointException if the text is anything but one JSON object
   */
  static JsonNode object(String where, String text) {
    JsonNode root;
    try {
      root = MAPPER.readTree(text);
    } catch (JsonProcessingException e) {
      throw new InvalidCheckpointException(where + ": no valid JSON: " + e.getOriginalMessage(), e);
    }
    if (!root.isObject()) {
      throw new InvalidCheckpointException(
          "%s: expected a JSON object, found %s".formatted(where, root.getNodeType()));
    }
    return root;
  }

  /**
   * A name that a JSON file gives for a file beside it.
   *
   * @param where the beginning of the message
   * @throws InvalidCheckpointException if it could lead to another folder
   */
  static String fileName(String where, String name) {
    boolean plain = name.chars().noneMatch(c -> c == '/' || c == '\\' || c == 0);
    if (!plain || name.isEmpty() || name.equals(".") || name.equals("..")) {
      throw new InvalidCheckpointException(
          "%s: expected the plain name of a file, found '%s'".formatted(where, name));
    }
    return name;
  }

  /**
   * Text from UTF-8.
   *
   * @throws InvalidCheckpointException if the bytes are not valid
   */
  static String utf8(String where, ByteBuffer bytes) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
    } catch (CharacterCodingException e) {
      throw new InvalidCheckpointException(where + ": expected UTF-8, found other bytes", e);
    }
  }
}
