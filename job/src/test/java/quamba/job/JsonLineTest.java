package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.udf.SourceRow.Cell;
import quamba.udf.SourceRow.Kind;
import quamba.udf.SourceRow.Problem;

class JsonLineTest {
  @Test
  void membersKeepTheirKindAndText() {
    String line =
        """
        {"s":"a\\u0062","n":1.0,"big":123456789012345678901234567890,"t":true,"z":null,
         "l":[1, "x"],"o":{"a":{}},"broken":"\\ud83d","whole":"\\ud83d\\ude00","nan":NaN}
        """;
    JsonLine parsed = JsonLine.parse(line);
    assertNull(parsed.problem());
    assertEquals(line, parsed.object());
    assertEquals(
        Map.of(
            "s", new Cell(Kind.TEXT, "ab"),
            "n", new Cell(Kind.SCALAR, "1.0"),
            "big", new Cell(Kind.SCALAR, "123456789012345678901234567890"),
            "t", new Cell(Kind.SCALAR, "true"),
            "z", Cell.NULL,
            "l", new Cell(Kind.NESTED, "[1,\"x\"]"),
            "o", new Cell(Kind.NESTED, "{\"a\":{}}"),
            "broken", new Cell(Kind.BROKEN, "\ud83d"),
            "whole", new Cell(Kind.TEXT, "\ud83d\ude00"),
            "nan", new Cell(Kind.SCALAR, "NaN")),
        parsed.members());
  }

  @Test
  void lastOfTwoMembersCountsAtEveryLevel() {
    JsonLine parsed = JsonLine.parse("{\"a\":1,\"b\":{\"c\":1.50,\"c\":2.50},\"a\":\"x\"}");
    assertEquals("{\"a\":\"x\",\"b\":{\"c\":2.50}}", parsed.object());
    assertEquals(new Cell(Kind.TEXT, "x"), parsed.members().get("a"));
  }

  @Test
  void optionsAreJsonAgain() {
    JsonLine parsed =
        JsonLine.parse(
            "{\"seed\":1e2,\"stop\":[\"\\ud800\"],\"top_p\":NaN,\"top_k\":null,\"x\":1}");
    assertEquals(
        "{\"seed\":1e2,\"stop\":[\"\\uD800\"],\"top_p\":\"NaN\"}",
        parsed.only(List.of("seed", "stop", "temperature", "top_p", "top_k")));
    assertNull(parsed.only(List.of("temperature", "top_k")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{",
        "{\"a\":1} {\"b\":2}",
        "{\"a\":1}]",
        "{'a':1}",
        "{\"a\":\"tab\there\"}",
        "{\"a\":01}",
        "{\"a\":1,}",
        "[1",
        "nope",
        "// comment"
      })
  void brokenLines(String line) {
    assertEquals(new JsonLine(null, Problem.MALFORMED_JSON, Map.of()), JsonLine.parse(line));
  }

  @ParameterizedTest
  @ValueSource(strings = {"[]", "[{\"prompt\":\"a\"}]", "\"text\"", "17", "null", " true "})
  void otherValues(String line) {
    assertEquals(new JsonLine(null, Problem.NOT_AN_OBJECT, Map.of()), JsonLine.parse(line));
  }
}
