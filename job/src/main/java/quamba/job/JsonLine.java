package quamba.job;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.Map;
import quamba.udf.SourceRow.Cell;
import quamba.udf.SourceRow.Kind;
import quamba.udf.SourceRow.Problem;

/**
 * One line of a file of JSON objects. Spark's reader turns 1 to "1" in a column of texts and an
 * unpaired surrogate to a question mark, so what a row asks for is read here, from the line itself.
 * Of two members of one name the last counts, here and, because the object is then written anew,
 * for Spark too.
 *
 * @param object for Spark to read columns from, null if the line is none
 * @param problem why the line cannot run, null if it can
 * @param members of the object, by name
 */
record JsonLine(String object, Problem problem, Map<String, Cell> members) {
  private static final JsonFactory LAST_COUNTS =
      JsonFactory.builder()
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS) // as Python writes them
          .enable(JsonWriteFeature.ESCAPE_NON_ASCII) // keeps unpaired surrogates
          .streamReadConstraints(
              StreamReadConstraints.builder().maxStringLength(Integer.MAX_VALUE).build())
          .build();

  private static final JsonFactory NO_DUPLICATES =
      LAST_COUNTS.rebuild().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private static final JsonMapper TREES =
      JsonMapper.builder(LAST_COUNTS)
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
          .disable(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES)
          .build();

  /** Options that make Spark's reader accept exactly what this one does. */
  static final Map<String, String> SPARK_OPTIONS =
      Map.of("allowSingleQuotes", "false", "maxStringLen", Integer.toString(Integer.MAX_VALUE));

  /** Reads a line that is not blank. */
  static JsonLine parse(String line) {
    try {
      return parse(line, NO_DUPLICATES);
    } catch (JsonProcessingException e) {
      return parseDuplicates(line);
    } catch (IOException e) {
      throw new UncheckedIOException("from a string", e);
    }
  }

  private static JsonLine parseDuplicates(String line) {
    try {
      JsonLine parsed = parse(line, LAST_COUNTS);
      return parsed.problem() != null
          ? parsed
          : parse(TREES.writeValueAsString(TREES.readTree(line)), NO_DUPLICATES);
    } catch (JsonProcessingException e) {
      return new JsonLine(null, Problem.MALFORMED_JSON, Map.of());
    } catch (IOException e) {
      throw new UncheckedIOException("from a string", e);
    }
  }

  private static JsonLine parse(String line, JsonFactory json) throws IOException {
    try (JsonParser parser = json.createParser(line)) {
      boolean object = parser.nextToken() == JsonToken.START_OBJECT;
      Map<String, Cell> members = new LinkedHashMap<>();
      if (object) {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
          String name = parser.currentName();
          parser.nextToken();
          members.put(name, cell(parser));
        }
      } else {
        parser.skipChildren();
      }
      if (parser.nextToken() != null) {
        return new JsonLine(null, Problem.MALFORMED_JSON, Map.of());
      }
      return object
          ? new JsonLine(line, null, members)
          : new JsonLine(null, Problem.NOT_AN_OBJECT, Map.of());
    }
  }

  private static Cell cell(JsonParser parser) throws IOException {
    return switch (parser.currentToken()) {
      case VALUE_NULL -> Cell.NULL;
      case VALUE_STRING -> {
        String text = parser.getText();
        yield new Cell(hasUnpairedSurrogate(text) ? Kind.BROKEN : Kind.TEXT, text);
      }
      case START_ARRAY, START_OBJECT -> {
        StringWriter nested = new StringWriter();
        try (JsonGenerator generator = LAST_COUNTS.createGenerator(nested)) {
          generator.copyCurrentStructure(parser);
        }
        yield new Cell(Kind.NESTED, nested.toString());
      }
      default -> new Cell(Kind.SCALAR, parser.getText());
    };
  }

  private static boolean hasUnpairedSurrogate(String text) {
    return text.codePoints().anyMatch(c -> Character.getType(c) == Character.SURROGATE);
  }

  /** A JSON object of those members whose names are given, null if there are none. */
  String only(Iterable<String> names) {
    StringWriter text = new StringWriter();
    boolean any = false;
    try (JsonGenerator generator = LAST_COUNTS.createGenerator(text)) {
      generator.writeStartObject();
      for (String name : names) {
        Cell cell = members.getOrDefault(name, Cell.NULL);
        if (cell.kind() != Kind.NULL) {
          any = true;
          generator.writeFieldName(name);
          if (cell.kind() == Kind.NESTED || isJson(cell)) {
            generator.writeRawValue(cell.text());
          } else {
            generator.writeString(cell.text());
          }
        }
      }
      generator.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException("to a string", e);
    }
    return any ? text.toString() : null;
  }

  /** Not NaN or Infinity, which only some readers know. */
  private static boolean isJson(Cell cell) {
    return cell.kind() == Kind.SCALAR
        && !cell.text().endsWith("NaN")
        && !cell.text().endsWith("Infinity")
        && !cell.text().endsWith("INF");
  }
}
