package quamba.job;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine;

/**
 * A command, run as a shell would run it but for the process.
 *
 * @param out what it printed on stdout
 * @param err what it printed on stderr
 */
record JobRun(int exitCode, String out, String err) {
  static JobRun of(String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine line = Main.commandLine();
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    int exitCode = Main.run(line, args);
    return new JobRun(exitCode, out.toString(), err.toString());
  }

  /** {@code generate} with the small model. */
  static JobRun generate(List<String> flags, String... more) {
    List<String> arguments = new ArrayList<>(List.of("generate", "--model=" + TestFiles.model()));
    arguments.addAll(flags);
    arguments.addAll(List.of(more));
    return of(arguments.toArray(new String[0]));
  }
}
