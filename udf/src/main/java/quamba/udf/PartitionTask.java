package quamba.udf;

import java.io.Serializable;
import java.util.List;
import quamba.udf.engine.Request.Limits;
import quamba.udf.model.Sampling;
import quamba.udf.model.StateFormat;
import quamba.udf.tokenizer.PromptTemplate;

/**
 * All that a partition's function needs to know: the one record that travels from the driver to
 * executors.
 *
 * @param weights the model
 * @param placement where the model runs
 * @param prompting how a row becomes a prompt
 * @param defaults for rows that do not say otherwise
 */
public record PartitionTask(
    Weights weights, Placement placement, Prompting prompting, Defaults defaults)
    implements Serializable {
  /**
   * Where and how wide the model runs.
   *
   * @param device {@code cpu}, or {@code cuda} for the GPU that Spark gives the task
   * @param slots sequences under way at once in an executor
   * @param state format of what a sequence carries from token to token
   */
  public record Placement(String device, int slots, StateFormat state) implements Serializable {}

  /** How a row becomes a prompt. */
  public sealed interface Prompting extends Serializable {
    /** The columns that a prompt is made of. */
    List<String> columns();
  }

  /** The prompt is a column. */
  public record PromptColumn(String name) implements Prompting {
    @Override
    public List<String> columns() {
      return List.of(name);
    }
  }

  /** The prompt is a text with columns filled in, see {@link PromptTemplate}. */
  public record Template(String text) implements Prompting {
    /** Reads the text, to refuse it early. */
    public Template {
      if (PromptTemplate.parse(text).columns().isEmpty()) {
        throw new IllegalArgumentException("the template names no column, such as {text}");
      }
    }

    @Override
    public List<String> columns() {
      return PromptTemplate.parse(text).columns();
    }
  }

  /**
   * What holds for a row whose own columns do not say otherwise.
   *
   * @param maxPromptTokens a longer prompt is an error
   */
  public record Defaults(Sampling sampling, Limits limits, int maxPromptTokens)
      implements Serializable {}
}
