package quamba.udf.tokenizer;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * A prompt over the columns of a row, such as {@code Translate: {text}}. Braces name a column;
 * doubled, they are braces of the prompt. A column's name is what stands between the braces,
 * character for character. Values are put in as they are: braces in them mean nothing.
 */
public final class PromptTemplate {
  private final List<String> columns; // distinct, in the order of their first place
  private final List<Part> parts;

  private PromptTemplate(List<Part> parts) {
    this.parts = List.copyOf(parts);
    columns = parts.stream().filter(Part::isColumn).map(Part::text).distinct().toList();
  }

  /**
   * Reads a template.
   *
   * @throws IllegalArgumentException if a brace has no partner, or braces stand inside of others or
   *     around nothing, naming the index
   */
  public static PromptTemplate parse(String template) {
    List<Part> parts = new ArrayList<>();
    StringBuilder literal = new StringBuilder();
    int at = 0;
    while (at < template.length()) {
      char letter = template.charAt(at);
      if (letter != '{' && letter != '}') {
        literal.append(letter);
        at++;
      } else if (template.startsWith(String.valueOf(letter), at + 1)) {
        literal.append(letter);
        at += 2;
      } else if (letter == '}') {
        throw invalid(at, "'}' closes nothing; write '}}' for a brace in the prompt");
      } else {
        parts.add(new Part(Kind.LITERAL, literal.toString()));
        literal.setLength(0);
        String column = column(template, at);
        parts.add(new Part(Kind.COLUMN, column));
        at += column.length() + 2;
      }
    }
    parts.add(new Part(Kind.LITERAL, literal.toString()));
    return new PromptTemplate(parts);
  }

  /** The columns that the template names, each once, in the order of the template. */
  public List<String> columns() {
    return columns;
  }

  /**
   * The prompt of a row, or empty if a column is null there: such a row has no prompt, and {@link
   * #nullColumn} names the reason.
   */
  public Optional<String> render(Function<String, String> valueOfColumn) {
    StringBuilder prompt = new StringBuilder();
    for (Part part : parts) {
      String text = part.isColumn() ? valueOfColumn.apply(part.text()) : part.text();
      if (text == null) {
        return Optional.empty();
      }
      prompt.append(text);
    }
    return Optional.of(prompt.toString());
  }

  /** The first of the template's columns that is null in a row. */
  public Optional<String> nullColumn(Function<String, String> valueOfColumn) {
    return columns.stream().filter(column -> valueOfColumn.apply(column) == null).findFirst();
  }

  private static String column(String template, int open) {
    for (int at = open + 1; at < template.length(); at++) {
      char letter = template.charAt(at);
      if (letter == '{') {
        throw invalid(at, "'{' inside of a column's name");
      }
      if (letter == '}') {
        if (at == open + 1) {
          throw invalid(open, "'{}' names no column");
        }
        return template.substring(open + 1, at);
      }
    }
    throw invalid(open, "'{' is not closed; write '{{' for a brace in the prompt");
  }

  private static IllegalArgumentException invalid(int index, String reason) {
    return new IllegalArgumentException("template, index " + index + ": " + reason);
  }

  private enum Kind {
    LITERAL,
    COLUMN
  }

  private record Part(Kind kind, String text) {
    boolean isColumn() {
      return kind == Kind.COLUMN;
    }
  }
}
