package quamba.job;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.spark.sql.AnalysisException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import quamba.udf.checkpoint.InvalidCheckpointException;

/** The command line: what a command throws becomes one line for people and an exit code. */
@Command(
    name = "quamba",
    description = "Offline batch generation with Mamba models on Spark.",
    subcommands = {
      GenerateCommand.class,
      EvaluateCommand.class,
      QuantizeCommand.class,
      ConvertCommand.class,
      DemoCommand.class
    },
    synopsisSubcommandLabel = "COMMAND")
public final class Main {
  /** Complete. */
  static final int OK = 0;

  /** Bad flags, bad checkpoint or bad input; nothing was written. */
  static final int REFUSED = 2;

  /** Complete, but with more error rows than allowed. */
  static final int TOO_MANY_ERRORS = 3;

  /** A gate said no to what an evaluation found. */
  static final int GATED = 4;

  /** A failure that another run may mend. */
  static final int FAILED = 5;

  private Main() {}

  /** Runs the command that the arguments name and ends the process with its exit code. */
  public static void main(String[] args) {
    System.exit(run(commandLine(), args));
  }

  /** The same without ending the process. */
  static int run(CommandLine line, String... args) {
    line.setParameterExceptionHandler(
        (e, arguments) -> refused(e.getCommandLine(), usage(e) + " (see --help)"));
    line.setExecutionExceptionHandler((e, command, parsed) -> failed(command, e));
    return line.execute(args);
  }

  /** The commands and their flags. */
  static CommandLine commandLine() {
    CommandLine line = new CommandLine(new Main());
    line.getCommandSpec()
        .addOption(
            OptionSpec.builder("--help")
                .usageHelp(true)
                .scopeType(ScopeType.INHERIT)
                .description("shows this and ends")
                .build());
    line.setExpandAtFiles(false); // a text may begin with @
    line.setUsageHelpWidth(100);
    line.setUsageHelpLongOptionsMaxWidth(32);
    return line;
  }

  /** A flag that is misspelt is missing too, but it is the misspelt one that tells. */
  private static String usage(ParameterException refusal) {
    List<String> unknown = refusal.getCommandLine().getUnmatchedArguments();
    return unknown.isEmpty() ? refusal.getMessage() : "unknown: " + String.join(" ", unknown);
  }

  private static int refused(CommandLine command, String message) {
    String line = String.valueOf(message).lines().findFirst().orElse("");
    command.getErr().println(command.getCommandSpec().qualifiedName() + ": " + line);
    command.getErr().flush();
    return REFUSED;
  }

  private static int failed(CommandLine command, Exception failure) {
    if (failure instanceof IllegalArgumentException || failure instanceof AnalysisException) {
      return refused(command, failure.getMessage());
    }
    Optional<Throwable> checkpoint =
        causes(failure).filter(InvalidCheckpointException.class::isInstance).findFirst();
    if (checkpoint.isPresent()) {
      return refused(command, checkpoint.get().getMessage());
    }
    failure.printStackTrace(command.getErr());
    command
        .getErr()
        .println(
            command.getCommandSpec().qualifiedName()
                + ": failed, see above; running the same command again may help");
    command.getErr().flush();
    return FAILED;
  }

  private static Stream<Throwable> causes(Throwable failure) {
    return Stream.iterate(failure, cause -> cause != null, Throwable::getCause).limit(32);
  }
}
