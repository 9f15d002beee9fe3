package quamba.job;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.stream.Stream;
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

  /** {@code generate} with the demo's model. */
  static JobRun generate(String... flags) {
    List<String> model = List.of("generate", "--model", TestFiles.model().toString());
    return of(Stream.concat(model.stream(), Stream.of(flags)).toArray(String[]::new));
  }
}
