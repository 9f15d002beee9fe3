package quamba.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.udf.PartitionTask.Defaults;
import quamba.udf.engine.Request.Limits;
import quamba.udf.model.Sampling;

class RowOptionsTest {
  private static final Defaults DEFAULTS =
      new Defaults(new Sampling(0.5f, 4, 0.9f, 0.1f, 1.1f, 7), new Limits(16, List.of("END")), 100);

  @Test
  void nothingSaidIsTheDefault() {
    RowOptions defaults = new RowOptions(DEFAULTS.sampling(), DEFAULTS.limits());
    assertEquals(defaults, RowOptions.of(null, DEFAULTS));
    assertEquals(defaults, RowOptions.of("{}", DEFAULTS));
    assertEquals(defaults, RowOptions.of("{\"seed\":null,\"stop\":null}", DEFAULTS));
  }

  @Test
  void rowsSayTheirOwn() {
    String own =
        """
        {"temperature":1,"top_k":2.0,"top_p":"0.25","min_p":0,"repetition_penalty":2,
         "seed":"-9223372036854775808","max_tokens":" 3 ","stop":["a","b"]}
        """;
    assertEquals(
        new RowOptions(
            new Sampling(1, 2, 0.25f, 0, 2, Long.MIN_VALUE), new Limits(3, List.of("a", "b"))),
        RowOptions.of(own, DEFAULTS));
    assertEquals(List.of("x"), RowOptions.of("{\"stop\":\"x\"}", DEFAULTS).limits().stop());
    assertEquals(List.of(), RowOptions.of("{\"stop\":[]}", DEFAULTS).limits().stop());
    String text = "x".repeat(21_000_000); // JSON's reader would hold texts to 20 million
    String longest = "{\"stop\":\"" + text + "\"}";
    assertEquals(List.of(text), RowOptions.of(longest, DEFAULTS).limits().stop());
    float tiny = 0x1p-129f; // has no reciprocal
    assertEquals(
        0, RowOptions.of("{\"temperature\":" + tiny + "}", DEFAULTS).sampling().temperature());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\'',
      value = {
        "{\"temperature\":-1}             | temperature must be 0 to 100, found -1.0",
        "{\"temperature\":\"NaN\"}        | temperature must be a number, found other text",
        "{\"temperature\":1e999}          | temperature must be 0 to 100, found Infinity",
        "{\"top_p\":[1]}                  | top_p must be a number, found ARRAY",
        "{\"top_k\":true}                 | top_k must be a number, found BOOLEAN",
        "{\"top_k\":2.5}                  | top_k must be a whole number of at most 64 bits, found another number",
        "{\"top_k\":4294967296}           | top_k must be a number of 32 bits, found 4294967296",
        "{\"seed\":9223372036854775808}   | seed must be a whole number of at most 64 bits, found another number",
        "{\"max_tokens\":0}               | max_tokens must be 1 or more, found 0",
        "{\"stop\":\"\"}                  | stop must not hold an empty text",
        "{\"stop\":[1]}                   | stop must be a text or a list of texts, found NUMBER",
      })
  void refuses(String options, String message) {
    IllegalArgumentException refusal =
        assertThrows(IllegalArgumentException.class, () -> RowOptions.of(options, DEFAULTS));
    assertEquals(message, refusal.getMessage());
  }
}
