package quamba.job;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import picocli.CommandLine.Option;
import quamba.job.JobConfig.Delivery;
import quamba.udf.model.StateFormat;

/** The flags of a job that evaluates, as they are typed; {@link #config} is what they mean. */
final class EvaluateFlags {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "folder of the checkpoint: config.json, safetensors, tokenizer.json")
  private Path model;

  @Option(
      names = "--reference",
      paramLabel = "DIR",
      description = "checkpoint of the same tokenizer to compare with; default: none")
  private Path reference;

  @Option(
      names = "--text",
      paramLabel = "FILE",
      description = "UTF-8 to foretell, plain or .gz; may be given again")
  private List<String> texts = List.of();

  @Option(
      names = "--task",
      paramLabel = "NAME=FILE",
      description = "JSONL of last words or multiple choice, plain or .gz; may be given again")
  private List<String> tasks = List.of();

  @Option(
      names = "--window",
      paramLabel = "N",
      defaultValue = "1024",
      description = "tokens that a text is cut into; default: ${DEFAULT-VALUE}")
  private int window;

  @Option(
      names = "--limit",
      paramLabel = "N",
      description = "the first N windows of a text and items of a task; default: all")
  private Integer limit;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "cpu",
      description = "cpu or cuda; default: ${DEFAULT-VALUE}")
  private String device;

  @Option(
      names = "--json",
      paramLabel = "FILE",
      description = "where to write what was found; default: nowhere")
  private Path json;

  @Option(
      names = "--gate",
      paramLabel = "EXPR",
      defaultValue = "",
      description = "exit with 4 unless all hold, such as 'kl<=0.02,lambada>=0.98x'")
  private String gate;

  @Option(
      names = "--state",
      paramLabel = "FORMAT",
      defaultValue = "f32",
      description =
          "of the model's recurrent state: f32, f16, i8, i8-static; default: ${DEFAULT-VALUE}")
  private String state;

  @Option(
      names = "--weights",
      paramLabel = "WAY",
      defaultValue = "broadcast",
      description = "broadcast, or path if executors see --model; default: ${DEFAULT-VALUE}")
  private String weights;

  /**
   * What the flags mean.
   *
   * @throws IllegalArgumentException naming the flag, what it may be and what it was
   */
  EvaluateConfig config() {
    OptionalInt most = limit == null ? OptionalInt.empty() : OptionalInt.of(limit);
    return new EvaluateConfig(
        model,
        Optional.ofNullable(reference),
        new EvaluateConfig.Subjects(List.copyOf(texts), tasks(), window, most),
        new JobConfig.Execution(
            device, OptionalInt.empty(), StateFormat.parse("--state", state), Delivery.of(weights)),
        new EvaluateConfig.Verdict(Optional.ofNullable(json), Gate.parse(gate)));
  }

  private Map<String, String> tasks() {
    Map<String, String> files = new LinkedHashMap<>();
    for (String task : tasks) {
      int sign = task.indexOf('=');
      if (sign < 1 || sign == task.length() - 1) {
        throw new IllegalArgumentException("--task: expected NAME=FILE, found '" + task + "'");
      }
      String name = task.substring(0, sign);
      if (files.put(name, task.substring(sign + 1)) != null) {
        throw new IllegalArgumentException(
            "--task: expected different names, found '%s' twice".formatted(name));
      }
    }
    return files;
  }
}
