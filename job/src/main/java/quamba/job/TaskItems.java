package quamba.job;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import quamba.udf.evaluation.Text;
import quamba.udf.tokenizer.Tokenizer;

/**
 * The items of a task's file: one JSON object a line, all with {@code text} (a last word is asked)
 * or all with {@code choices} (one of them is asked). Lines end with LF only: texts may hold other
 * line ends.
 */
final class TaskItems {
  private static final JsonMapper JSON =
      JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  private final String name;
  private final String file;
  private final Tokenizer tokenizer;

  /** What is wrong with an item; the task, the file and the line are said elsewhere. */
  private static final class MalformedItem extends RuntimeException {
    private static final long serialVersionUID = 1L;

    MalformedItem(String message) {
      super(message);
    }
  }

  private TaskItems(String name, String file, Tokenizer tokenizer) {
    this.name = name;
    this.file = file;
    this.tokenizer = tokenizer;
  }

  /**
   * Reads a file as far as it counts.
   *
   * @throws IllegalArgumentException naming the line that is no item, and why
   */
  static Subject read(
      String name, String file, EvaluateConfig.Subjects subjects, Tokenizer tokenizer) {
    TaskItems reader = new TaskItems(name, file, tokenizer);
    List<String> all = lines(Utf8File.read("--task", file));
    List<String> lines = all.subList(0, subjects.limited(all.size()));
    return reader.line(0, lines.get(0)).has("text")
        ? reader.lastWords(lines)
        : reader.choices(lines);
  }

  private static List<String> lines(String text) {
    List<String> lines = Arrays.asList(text.split("\n", -1));
    boolean ended = lines.size() > 1 && text.endsWith("\n");
    return ended ? lines.subList(0, lines.size() - 1) : lines;
  }

  private LastWords lastWords(List<String> lines) {
    List<Text> words = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      try {
        String text = string(line(i, lines.get(i)).path("text"), "text");
        int space = text.lastIndexOf(' ');
        require(space > 0 && space < text.length() - 1, "text: expected words, a space, a word");
        words.add(continuation(text.substring(0, space), text.substring(space)));
      } catch (MalformedItem e) {
        throw refusal(i, e.getMessage());
      }
    }
    return new LastWords(name, List.copyOf(words));
  }

  private MultipleChoice choices(List<String> lines) {
    List<MultipleChoice.Item> items = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      try {
        items.add(item(line(i, lines.get(i))));
      } catch (MalformedItem e) {
        throw refusal(i, e.getMessage());
      }
    }
    return new MultipleChoice(name, List.copyOf(items));
  }

  private MultipleChoice.Item item(JsonNode row) {
    JsonNode choices = row.path("choices");
    JsonNode contexts = row.path("contexts");
    JsonNode label = row.path("label");
    require(
        choices.isArray() && choices.size() > 1, "expected text, or choices, a list of 2 or more");
    require(
        contexts.isMissingNode() || contexts.isNull() || contexts.size() == choices.size(),
        "contexts: expected as many as choices");
    require(
        label.isInt() && label.intValue() >= 0 && label.intValue() < choices.size(),
        "label: expected the index of a choice");
    List<MultipleChoice.Choice> asked = new ArrayList<>();
    for (int choice = 0; choice < choices.size(); choice++) {
      String context =
          contexts.isArray()
              ? string(contexts.path(choice), "contexts")
              : string(row.path("context"), "context");
      String text = string(choices.path(choice), "choices");
      require(!text.isEmpty(), "choices: expected texts, found an empty one");
      asked.add(MultipleChoice.Choice.of(continuation(context, " " + text), text));
    }
    return new MultipleChoice.Item(List.copyOf(asked), label.intValue());
  }

  /** The tokens of both texts together, those beyond as many as the first has alone scored. */
  private Text continuation(String context, String continuation) {
    try {
      int before = tokenizer.encode(context).length;
      return new Text(tokenizer.encode(context + continuation), before);
    } catch (IllegalArgumentException e) {
      throw new MalformedItem(e.getMessage());
    }
  }

  private static String string(JsonNode node, String field) {
    require(node.isTextual(), field + ": expected a text");
    return node.textValue();
  }

  private static void require(boolean condition, String otherwise) {
    if (!condition) {
      throw new MalformedItem(otherwise);
    }
  }

  private JsonNode line(int index, String line) {
    try {
      JsonNode row = JSON.readTree(line);
      if (row != null && row.isObject()) {
        return row;
      }
      throw refusal(index, "expected a JSON object");
    } catch (JsonProcessingException e) {
      throw refusal(index, "expected a JSON object, found other text");
    }
  }

  private IllegalArgumentException refusal(int index, String reason) {
    return new IllegalArgumentException(
        "--task: %s: line %d: %s".formatted(file, index + 1, reason));
  }
}
