package quamba.udf;

import java.nio.IntBuffer;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.spark.TaskContext;
import org.apache.spark.sql.Row;
import quamba.udf.SourceRow.Cell;
import quamba.udf.engine.Request;
import quamba.udf.engine.RowError;
import quamba.udf.tokenizer.PromptTemplate;
import quamba.udf.tokenizer.Tokenizer;
import quamba.udf.tokenizer.UnencodableTextException;

/** Rows as requests: the one place that decides whether a row can run, and if not, why. */
final class RowRequests implements Iterator<Request<RowRequests.Pending>> {
  /**
   * A row under way.
   *
   * @param promptTokens empty if the prompt was never tokenized
   * @param seed that the row's meta column shows
   */
  record Pending(Row row, OptionalInt promptTokens, long seed) {}

  private final Iterator<Row> rows;
  private final PartitionTask task;
  private final Tokenizer tokenizer;
  private final OptionalInt endOfText;
  private final TaskContext context;
  private final Optional<PromptTemplate> template;
  private long pulled;

  RowRequests(Iterator<Row> rows, PartitionTask task, OpenModel model, TaskContext context) {
    this.rows = rows;
    this.task = task;
    this.tokenizer = model.tokenizer();
    this.endOfText = model.endOfText();
    this.context = context;
    this.template =
        task.prompting() instanceof PartitionTask.Template it
            ? Optional.of(PromptTemplate.parse(it.text()))
            : Optional.empty();
  }

  /** Rows taken so far. */
  long pulled() {
    return pulled;
  }

  @Override
  public boolean hasNext() {
    context.killTaskIfInterrupted();
    return rows.hasNext();
  }

  @Override
  public Request<Pending> next() {
    Row row = rows.next();
    pulled++;
    SourceRow source = SourceRow.of(row.getStruct(row.length() - 1));
    Pending pending = new Pending(row, OptionalInt.empty(), task.defaults().sampling().seed());
    Optional<RowError> error = rowError(source).or(() -> textError(source.texts()));
    if (error.isPresent()) {
      return reject(pending, source, error.get());
    }
    RowOptions options;
    try {
      options = RowOptions.of(source.options(), task.defaults());
    } catch (IllegalArgumentException e) {
      return reject(pending, source, error("invalid-sampling", e.getMessage()));
    }
    int[] ids;
    try {
      ids = ids(prompt(source.texts()));
    } catch (UnencodableTextException e) {
      return reject(pending, source, error("invalid-text", e.getMessage()));
    } catch (IllegalArgumentException e) { // the tokenizer names what it found, never the text
      return reject(pending, source, error("prompt-too-long", e.getMessage()));
    }
    pending = new Pending(row, OptionalInt.of(ids.length), options.sampling().seed());
    if (ids.length == 0) {
      return reject(pending, source, error("empty-prompt", "the prompt has no tokens"));
    }
    int most = task.defaults().maxPromptTokens();
    if (ids.length > most) {
      String message = "the prompt has %d tokens, at most %d are allowed";
      return reject(pending, source, error("prompt-too-long", message.formatted(ids.length, most)));
    }
    return new Request.Prompt<>(
        pending, IntBuffer.wrap(ids), source.keyBits(), options.sampling(), options.limits());
  }

  private static Request<Pending> reject(Pending pending, SourceRow source, RowError error) {
    String message = error.message() + " (" + source.place() + ")";
    return new Request.Rejected<>(
        pending, new RowError(error.errorClass(), message, error.retryable()));
  }

  private static RowError error(String errorClass, String message) {
    return new RowError(errorClass, message, false);
  }

  private static Optional<RowError> rowError(SourceRow source) {
    if (source.problem() != null) {
      return Optional.of(source.problem().error());
    }
    if (source.key() == null) {
      return Optional.empty();
    }
    return switch (source.key().kind()) {
      case TEXT, SCALAR -> Optional.empty();
      case NULL -> Optional.of(error("missing-key", "the key is null or absent"));
      case NESTED -> Optional.of(error("invalid-key", "the key is a list or an object"));
      case BROKEN -> Optional.of(broken("the key"));
    };
  }

  private Optional<RowError> textError(List<Cell> texts) {
    for (int i = 0; i < texts.size(); i++) {
      String column = task.prompting().columns().get(i);
      Optional<RowError> error =
          template.isPresent()
              ? valueError("template column '" + column + "'", texts.get(i))
              : promptError(texts.get(i));
      if (error.isPresent()) {
        return error;
      }
    }
    return Optional.empty();
  }

  private static Optional<RowError> promptError(Cell prompt) {
    return switch (prompt.kind()) {
      case TEXT -> Optional.empty();
      case NULL -> Optional.of(error("null-prompt", "the prompt is null or absent"));
      case SCALAR -> Optional.of(error("not-a-string", "the prompt is a number or a boolean"));
      case NESTED -> Optional.of(error("not-a-string", "the prompt is a list or an object"));
      case BROKEN -> Optional.of(broken("the prompt"));
    };
  }

  private static Optional<RowError> valueError(String what, Cell value) {
    return switch (value.kind()) {
      case TEXT, SCALAR -> Optional.empty();
      case NULL -> Optional.of(error("null-template-column", what + " is null or absent"));
      case NESTED -> Optional.of(error("not-a-string", what + " is a list or an object"));
      case BROKEN -> Optional.of(broken(what));
    };
  }

  private static RowError broken(String what) {
    return error(
        "invalid-text", what + " is no Unicode text: an unpaired surrogate or invalid UTF-8");
  }

  private String prompt(List<Cell> texts) {
    if (template.isEmpty()) {
      return texts.get(0).text();
    }
    List<String> columns = task.prompting().columns();
    return template.get().render(column -> texts.get(columns.indexOf(column)).text()).orElseThrow();
  }

  /** An empty prompt runs as the end-of-text token alone, if the model has one. */
  private int[] ids(String prompt) {
    int[] ids = tokenizer.encode(prompt);
    return ids.length == 0 && endOfText.isPresent() ? new int[] {endOfText.getAsInt()} : ids;
  }
}
