package quamba.job;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The whole way once, on the model, the texts and the prompts that ship with the project. */
@Command(
    name = "demo",
    description = "Quantizes a small model to W4A8, generates with it and shows the table.",
    sortOptions = false)
final class DemoCommand implements Callable<Integer> {
  private static final int PROMPT_WIDTH = 36;
  private static final int GENERATION_WIDTH = 78;
  private static final List<String> MODEL_FILES =
      List.of("config.json", "manifest.json", "model.safetensors", "tokenizer.json");

  @Option(
      names = "--assets",
      required = true,
      hidden = true,
      description = "folder of the demo's model and prompts, which submit.sh knows")
  private Path assets;

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description = "folder to write; default: job/target/demo")
  private Path output;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    Path folder = output == null ? assets.resolve("../../target/demo").normalize() : output;
    Path prompts = folder.resolve("prompts.parquet");
    Path generations = folder.resolve("generations.parquet");
    Path model = folder.resolve("mamba2-5m-w4a8");
    try (Session session = Session.open()) {
      session
          .spark()
          .read()
          .json(assets.resolve("prompts.jsonl").toString())
          .coalesce(1)
          .write()
          .mode("overwrite")
          .parquet(prompts.toString());
      int code = quantize(model);
      if (code == Main.OK) {
        code = generate(model, prompts, generations);
      }
      if (code == Main.OK) {
        show(session.spark().read().parquet(generations.toString()));
        spec.commandLine().getOut().println("Parquet: " + generations.toAbsolutePath());
      }
      return code;
    }
  }

  /** An earlier demo's model is made anew. */
  private int quantize(Path model) throws IOException {
    if (Files.isDirectory(model)) {
      for (String file : MODEL_FILES) {
        Files.deleteIfExists(model.resolve(file));
      }
    }
    return run(
        List.of(
            "quantize",
            "--scheme=w4a8",
            "--samples=32",
            "--sample-tokens=128",
            "--calibration=" + assets.resolve("calibration.jsonl"),
            "--model=" + assets.resolve("mamba2-5m"),
            "--output=" + model));
  }

  private int run(List<String> arguments) {
    CommandLine line = Main.commandLine();
    line.setOut(spec.commandLine().getOut()).setErr(spec.commandLine().getErr());
    return Main.run(line, arguments.toArray(String[]::new));
  }

  private int generate(Path model, Path prompts, Path generations) {
    List<String> arguments = new ArrayList<>();
    arguments.addAll(
        List.of("generate", "--overwrite", "--prompt-column", "prompt", "--key", "id"));
    arguments.addAll(List.of("--max-tokens", "40", "--temperature", "0.7", "--top-p", "0.9"));
    arguments.addAll(List.of("--repetition-penalty", "1.15", "--seed", "1"));
    arguments.addAll(List.of("--model", model.toString()));
    arguments.addAll(List.of("--input", prompts.toString(), "--output", generations.toString()));
    return run(arguments);
  }

  private void show(Dataset<Row> rows) {
    PrintWriter out = spec.commandLine().getOut();
    String format = "%-" + PROMPT_WIDTH + "s  →  %s%n";
    out.println();
    out.printf(format, "prompt", "generation");
    for (Row row : rows.orderBy("id").select("prompt", "generation").collectAsList()) {
      out.printf(
          format, cut(row.getString(0), PROMPT_WIDTH), cut(row.getString(1), GENERATION_WIDTH));
    }
    out.println();
  }

  /** On one line of the terminal, control characters shown as what they are. */
  private static String cut(String text, int width) {
    String line = text.replace("\n", "⏎").replaceAll("\\p{Cntrl}", "�");
    return line.length() <= width ? line : line.substring(0, width - 1) + "…";
  }
}
