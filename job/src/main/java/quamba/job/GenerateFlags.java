package quamba.job;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import picocli.CommandLine.Option;
import quamba.job.JobConfig.Delivery;
import quamba.job.JobConfig.Format;
import quamba.udf.PartitionTask.Defaults;
import quamba.udf.PartitionTask.PromptColumn;
import quamba.udf.PartitionTask.Prompting;
import quamba.udf.PartitionTask.Template;
import quamba.udf.engine.Request.Limits;
import quamba.udf.model.Sampling;
import quamba.udf.model.StateFormat;

/** The flags of a job that generates, as they are typed; {@link #config} is what they mean. */
final class GenerateFlags {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "folder of the checkpoint: config.json, safetensors, tokenizer.json")
  private Path model;

  @Option(
      names = "--input",
      required = true,
      split = ",",
      paramLabel = "PATH",
      description = "files, folders or globs to read, separated by commas")
  private List<String> input;

  @Option(
      names = "--input-format",
      paramLabel = "FORMAT",
      description = "parquet, json (one object a line) or csv; else by the extension")
  private String inputFormat;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "PATH",
      description = "folder to write; an unfinished one of the same job is begun again")
  private String output;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      defaultValue = "parquet",
      description = "parquet or json; default: ${DEFAULT-VALUE}")
  private String format;

  @Option(
      names = "--prompt-column",
      paramLabel = "COLUMN",
      description = "column that holds the prompt; this or --template is needed")
  private String promptColumn;

  @Option(
      names = "--template",
      paramLabel = "TEXT",
      description = "prompt made of columns, such as 'Translate: {text}'")
  private String template;

  @Option(
      names = "--key",
      paramLabel = "COLUMN",
      description = "column that names each row; else its place and content do")
  private String key;

  @Option(
      names = "--output-column",
      paramLabel = "COLUMN",
      defaultValue = "generation",
      description = "column of the generated text; default: ${DEFAULT-VALUE}")
  private String outputColumn;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "128",
      description = "tokens to generate at most; default: ${DEFAULT-VALUE}")
  private int maxTokens;

  @Option(
      names = "--max-prompt-tokens",
      paramLabel = "N",
      description = "a longer prompt is an error row; default: no limit")
  private Integer maxPromptTokens;

  @Option(
      names = "--temperature",
      paramLabel = "X",
      defaultValue = "0",
      description = "0 takes the likeliest token; default: ${DEFAULT-VALUE}")
  private float temperature;

  @Option(
      names = "--top-k",
      paramLabel = "N",
      defaultValue = "0",
      description = "the N likeliest tokens, 0 for all; default: ${DEFAULT-VALUE}")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "X",
      defaultValue = "1",
      description = "the likeliest tokens of this probability; default: ${DEFAULT-VALUE}")
  private float topP;

  @Option(
      names = "--min-p",
      paramLabel = "X",
      defaultValue = "0",
      description = "tokens of this share of the likeliest; default: ${DEFAULT-VALUE}")
  private float minP;

  @Option(
      names = "--repetition-penalty",
      paramLabel = "X",
      defaultValue = "1",
      description = "weakens tokens already there, 1 for none; default: ${DEFAULT-VALUE}")
  private float repetitionPenalty;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "of the random numbers; default: ${DEFAULT-VALUE}")
  private long seed;

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      description = "ends a generation and is cut off; may be given again; default: none")
  private List<String> stop = List.of();

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "cpu",
      description = "cpu or cuda; default: ${DEFAULT-VALUE}")
  private String device;

  @Option(
      names = "--slots",
      paramLabel = "N",
      description = "sequences at once in an executor; default: 16 on cpu, 256 on cuda")
  private Integer slots;

  @Option(
      names = "--state",
      paramLabel = "FORMAT",
      defaultValue = "f32",
      description = "of the recurrent state: f32, f16, i8 or i8-static; default: ${DEFAULT-VALUE}")
  private String state;

  @Option(
      names = "--weights",
      paramLabel = "WAY",
      defaultValue = "broadcast",
      description = "broadcast, or path if executors see --model; default: ${DEFAULT-VALUE}")
  private String weights;

  @Option(
      names = "--max-error-fraction",
      paramLabel = "X",
      defaultValue = "1.0",
      description = "exit with 3 if more rows are errors; default: ${DEFAULT-VALUE}")
  private double maxErrorFraction;

  @Option(
      names = "--overwrite",
      description = "begin anew where an output of this program is; default: no")
  private boolean overwrite;

  @Option(
      names = "--sort-by-key",
      description = "write rows in the order of keys, or of the input; default: no")
  private boolean sortByKey;

  /**
   * What the flags mean.
   *
   * @throws IllegalArgumentException naming the flag, what it may be and what it was
   */
  JobConfig config() {
    Format inputs =
        inputFormat == null
            ? JobConfig.Input.guess(input)
            : Format.of("--input-format", inputFormat, Format.PARQUET, Format.JSON, Format.CSV);
    Sampling sampling = new Sampling(temperature, topK, topP, minP, repetitionPenalty, seed);
    return new JobConfig(
        model,
        new JobConfig.Input(input, inputs, prompting(), Optional.ofNullable(key)),
        new JobConfig.Output(
            output,
            Format.of("--format", format, Format.PARQUET, Format.JSON),
            outputColumn,
            new JobConfig.Writing(overwrite, sortByKey, maxErrorFraction)),
        new Defaults(sampling, new Limits(maxTokens, stop), maxPromptTokens()),
        new JobConfig.Execution(
            device,
            slots == null ? OptionalInt.empty() : OptionalInt.of(slots),
            StateFormat.parse("--state", state),
            Delivery.of(weights)));
  }

  private Prompting prompting() {
    if ((promptColumn == null) == (template == null)) {
      throw new IllegalArgumentException(
          "expected --prompt-column or --template, found "
              + (template == null ? "neither" : "both"));
    }
    return template == null ? new PromptColumn(promptColumn) : new Template(template);
  }

  private int maxPromptTokens() {
    if (maxPromptTokens != null && maxPromptTokens < 1) {
      throw new IllegalArgumentException(
          "--max-prompt-tokens must be 1 or more, found " + maxPromptTokens);
    }
    return maxPromptTokens == null ? Integer.MAX_VALUE : maxPromptTokens;
  }
}
