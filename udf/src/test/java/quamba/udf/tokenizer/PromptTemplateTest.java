package quamba.udf.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PromptTemplateTest {
  private static final Map<String, String> ROW =
      Map.of("text", "chat", "to", "English", "a b.c-d'e\"é😀", "odd", "empty", "");

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      ignoreLeadingAndTrailingWhitespace = false,
      quoteCharacter = '`',
      value = {
        "Translate: {text}|Translate: chat",
        "{text}|chat",
        "{text}{text} to {to}|chatchat to English",
        "no column|no column",
        "``|``",
        "{{text}}|{text}",
        "{{{text}}}|{chat}",
        "}}{{|}{",
        "{{{{|{{",
        "{text}}}|chat}",
        "[{empty}]|[]",
        "{a b.c-d'e\"é😀}!|odd!",
      })
  void columnsAreReplacedAndDoubledBracesAreBraces(String template, String prompt) {
    assertEquals(Optional.of(prompt), PromptTemplate.parse(template).render(ROW::get));
  }

  @Test
  void columnsAreNamedOnceInTheirOrder() {
    assertEquals(
        List.of("to", "text", " "), PromptTemplate.parse("{to}{text}{{x}}{to}{ }").columns());
    assertEquals(List.of(), PromptTemplate.parse("{{x}}").columns());
  }

  @ParameterizedTest
  @ValueSource(strings = {"{to}", "{{", "}}", "{", "}", "{text", "\\{"})
  void valuesAreNotExpandedAgain(String value) {
    assertEquals(Optional.of(value + "|"), PromptTemplate.parse("{text}|").render(name -> value));
  }

  @Test
  void nullColumnsAreReportedInsteadOfRendered() {
    Map<String, String> row = new HashMap<>(ROW);
    row.put("to", null);
    PromptTemplate template = PromptTemplate.parse("{text} {to} {missing}");
    assertTrue(template.render(row::get).isEmpty());
    assertEquals(Optional.of("to"), template.nullColumn(row::get));
    assertEquals(Optional.empty(), PromptTemplate.parse("{text}").nullColumn(row::get));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ab{text|2",
        "{|0",
        "{{{|2",
        "ab}|2",
        "}}}|2",
        "{a}b}|4",
        "a{}|1",
        "{a{b}|2",
        "{a{{b}}|2",
      })
  void bracesWithoutPartnerAreRefusedByIndex(String template, int index) {
    Exception refused =
        assertThrows(IllegalArgumentException.class, () -> PromptTemplate.parse(template));
    assertTrue(
        refused.getMessage().startsWith("template, index " + index + ": "), refused.getMessage());
  }
}
