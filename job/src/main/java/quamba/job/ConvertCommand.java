package quamba.job;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import quamba.udf.checkpoint.Conversion;

/** A PyTorch checkpoint to safetensors, without Spark and without running what is in it. */
@Command(
    name = "convert",
    description = "Converts pytorch_model.bin to safetensors, without executing pickles.")
final class ConvertCommand implements Callable<Integer> {
  @Option(
      names = "--input",
      required = true,
      paramLabel = "PATH",
      description = "pytorch_model.bin, or its folder")
  private Path input;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "folder to write; must not exist, or be empty")
  private Path output;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    Conversion conversion = Conversion.convert(input, output);
    PrintWriter out = spec.commandLine().getOut();
    out.printf(
        "%s: %d tensors, %d bytes, SHA-256 %s%n",
        output, conversion.tensors(), conversion.bytes(), conversion.sha256());
    out.flush();
    return Main.OK;
  }
}
