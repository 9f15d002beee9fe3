package quamba.udf.checkpoint;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import quamba.kernels.DType;

/**
 * The JSON header of a safetensors file: where each tensor lies. Parsed as a stream, so that its
 * size bounds the memory it takes.
 *
 * @param metadata the strings of {@code __metadata__}, by name
 * @param tensors where each tensor lies, by name
 */
record SafetensorsHeader(Map<String, String> metadata, Map<String, Entry> tensors) {
  /** The key of the header that is no tensor. */
  static final String METADATA = "__metadata__";

  /** Longest header, as in the reference implementation. */
  static final int BYTES_MAX = 100_000_000;

  /** Bounds the memory: a header of many small entries takes far more than its bytes. */
  private static final int ENTRIES_MAX = 100_000;

  /**
   * Place of one tensor.
   *
   * @param begin first byte, counted from the end of the header
   * @param end byte after the last
   */
  record Entry(TensorSpec spec, long begin, long end) {}

  /**
   * Reads a header and checks that its tensors fill {@code dataBytes} without gap or overlap.
   *
   * @param file the beginning of every message
   * @throws InvalidCheckpointException if anything is not as the format says
   */
  static SafetensorsHeader parse(String file, ByteBuffer json, long dataBytes) {
    if (!json.hasRemaining() || json.get(0) != '{') {
      throw new InvalidCheckpointException(file + ": expected a header that begins with {");
    }
    Parse parse = new Parse(file);
    try (JsonParser in = StrictJson.parser(json)) {
      parse.header(in);
    } catch (JsonProcessingException e) {
      throw new InvalidCheckpointException(
          "%s: no valid header: %s".formatted(parse.where(), e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw new InvalidCheckpointException(parse.where() + ": no valid header: " + e, e);
    }
    checkTiling(file, parse.tensors, dataBytes);
    return new SafetensorsHeader(parse.metadata, parse.tensors);
  }

  private static void checkTiling(String file, Map<String, Entry> tensors, long dataBytes) {
    List<Map.Entry<String, Entry>> order =
        tensors.entrySet().stream()
            .sorted(
                Comparator.<Map.Entry<String, Entry>>comparingLong(e -> e.getValue().begin())
                    .thenComparingLong(e -> e.getValue().end()))
            .toList();
    long end = 0;
    for (Map.Entry<String, Entry> next : order) {
      Entry entry = next.getValue();
      if (entry.begin() != end) {
        throw new InvalidCheckpointException(
            "%s: tensor '%s': %s: expected it to begin at byte %d of the data, found %d"
                .formatted(
                    file,
                    next.getKey(),
                    entry.begin() < end ? "overlaps another" : "leaves a gap",
                    end,
                    entry.begin()));
      }
      if (entry.end() > dataBytes) {
        throw new InvalidCheckpointException(
            "%s: tensor '%s' ends at byte %d of the data, found only %d bytes (truncated?)"
                .formatted(file, next.getKey(), entry.end(), dataBytes));
      }
      end = entry.end();
    }
    if (end != dataBytes) {
      throw new InvalidCheckpointException(
          "%s: expected %d bytes of data, found %d".formatted(file, end, dataBytes));
    }
  }

  /** What has been read so far, and of which tensor: messages name it. */
  private static final class Parse {
    private final String file;
    private final Map<String, String> metadata = new TreeMap<>();
    private final Map<String, Entry> tensors = new TreeMap<>();
    private String name = "";

    Parse(String file) {
      this.file = file;
    }

    String where() {
      return name.isEmpty() ? file : "%s: tensor '%s'".formatted(file, name);
    }

    void header(JsonParser in) throws IOException {
      expect(in.nextToken(), JsonToken.START_OBJECT, "the header");
      while (in.nextToken() == JsonToken.FIELD_NAME) {
        name = in.currentName();
        in.nextToken();
        if (name.equals(METADATA)) {
          strings(in);
        } else {
          tensors.put(name, entry(in));
        }
        expectFew(tensors.size());
        name = "";
      }
      if (in.nextToken() != null) {
        throw new InvalidCheckpointException(file + ": expected nothing after the header's }");
      }
    }

    private void strings(JsonParser in) throws IOException {
      expect(in.currentToken(), JsonToken.START_OBJECT, METADATA);
      while (in.nextToken() == JsonToken.FIELD_NAME) {
        String key = in.currentName();
        expect(in.nextToken(), JsonToken.VALUE_STRING, METADATA + " '" + key + "'");
        metadata.put(key, in.getText());
        expectFew(metadata.size());
      }
    }

    private void expectFew(int entries) {
      if (entries > ENTRIES_MAX) {
        throw new InvalidCheckpointException(
            "%s: expected at most %d entries, found more".formatted(file, ENTRIES_MAX));
      }
    }

    private Entry entry(JsonParser in) throws IOException {
      expect(in.currentToken(), JsonToken.START_OBJECT, "its entry");
      String dtype = "";
      long[] shape = null;
      long[] offsets = null;
      while (in.nextToken() == JsonToken.FIELD_NAME) {
        String field = in.currentName();
        in.nextToken();
        switch (field) {
          case "dtype" -> {
            expect(in.currentToken(), JsonToken.VALUE_STRING, field);
            dtype = in.getText();
          }
          case "shape" -> shape = integers(in, field);
          case "data_offsets" -> offsets = integers(in, field);
          default ->
              throw new InvalidCheckpointException(
                  "%s: expected dtype, shape and data_offsets, found '%s'"
                      .formatted(where(), field));
        }
      }
      if (shape == null || offsets == null || offsets.length != 2) {
        throw new InvalidCheckpointException(
            "%s: expected dtype, shape and data_offsets of two numbers, found shape %s, offsets %s"
                .formatted(where(), Arrays.toString(shape), Arrays.toString(offsets)));
      }
      TensorSpec spec = TensorSpec.checked(where(), dtype(dtype), shape);
      long bytes = offsets[1] - offsets[0];
      if (offsets[0] < 0 || offsets[1] < 0 || bytes != spec.bytes()) {
        throw new InvalidCheckpointException(
            "%s: data_offsets %s: expected %d bytes for %s, found %d"
                .formatted(where(), Arrays.toString(offsets), spec.bytes(), spec, bytes));
      }
      return new Entry(spec, offsets[0], offsets[1]);
    }

    private DType dtype(String text) {
      return Arrays.stream(DType.values())
          .filter(dtype -> dtype.name().equals(text))
          .findFirst()
          .orElseThrow(
              () ->
                  new InvalidCheckpointException(
                      "%s: dtype: expected one of %s, found '%s'"
                          .formatted(where(), Arrays.toString(DType.values()), text)));
    }

    private long[] integers(JsonParser in, String field) throws IOException {
      expect(in.currentToken(), JsonToken.START_ARRAY, field);
      long[] values = new long[TensorSpec.RANK_MAX];
      int count = 0;
      while (in.nextToken() != JsonToken.END_ARRAY) {
        expect(in.currentToken(), JsonToken.VALUE_NUMBER_INT, field);
        if (count == TensorSpec.RANK_MAX) {
          throw new InvalidCheckpointException(
              "%s: %s: expected at most %d numbers, found more"
                  .formatted(where(), field, TensorSpec.RANK_MAX));
        }
        values[count++] = in.getLongValue();
      }
      return Arrays.copyOf(values, count);
    }

    private void expect(JsonToken found, JsonToken expected, String what) {
      if (found != expected) {
        throw new InvalidCheckpointException(
            "%s: %s: expected %s, found %s".formatted(where(), what, expected, found));
      }
    }
  }
}
