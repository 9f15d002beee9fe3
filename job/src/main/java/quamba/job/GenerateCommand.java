package quamba.job;

import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import quamba.udf.Counters;
import quamba.udf.PartitionTask;
import quamba.udf.Weights;
import quamba.udf.model.ModelBytes;
import quamba.udf.model.ModelLoader;

/** Prompts in, the same rows with generations out. */
@Command(
    name = "generate",
    description = "Adds a generation to every row of prompts.",
    sortOptions = false)
final class GenerateCommand implements Callable<Integer> {
  @Mixin private GenerateFlags flags;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    JobConfig config = flags.config();
    Phases phases = new Phases();
    // The model is looked at first: that takes no cluster.
    try (Weights.Origin origin = Weights.Origin.open(config.model());
        Session session = Session.open()) {
      ModelLoader.check(origin.checkpoint(), config.execution().state());
      session.requireDevice(config.execution().device());
      Configuration hadoop = session.context().hadoopConfiguration();
      InputFiles files = InputFiles.list(hadoop, config.input().paths());
      OutputFolder folder = new OutputFolder(hadoop, config.output().path());
      folder.requireOurs(files);
      phases.end("start-up");
      Weights weights = config.execution().weights().send(origin, session.context());
      phases.end("weights");
      ModelBytes bytes = ModelBytes.of(origin.checkpoint());
      print(
          String.format(
              Locale.ROOT,
              "weights: %s, %,d bytes, %.1f%% of these weights in fp16",
              config.execution().weights().name().toLowerCase(Locale.ROOT),
              bytes.stored(),
              100 * bytes.share()));
      try {
        Fingerprint fingerprint = Fingerprint.of(config, weights, files);
        if (folder.isComplete(fingerprint, config.output().writing())) {
          print("output: " + folder.path() + ": already complete, nothing done");
          return exitCode(config, Outcome.read(session.spark(), folder.path(), config.output()));
        }
        InputRows input = read(session, config, files);
        phases.end("input");
        Counters counters = Counters.register(session.spark().sparkContext());
        Outcome outcome;
        try (OutputLease lease = folder.begin(fingerprint)) {
          write(new Generations(config, task(config, weights), counters), input, folder.path());
          outcome = count(session, config, input, folder.path());
          folder.finish(lease);
        }
        phases.end("generate");
        outcome.lines(phases, counters).forEach(this::print);
        print("output: " + folder.path());
        return exitCode(config, outcome);
      } finally {
        weights.release();
      }
    }
  }

  private static InputRows read(Session session, JobConfig config, InputFiles files)
      throws Exception {
    InputRows input = InputRows.read(session, config.input(), files);
    List<String> names = List.of(input.columns().fieldNames());
    for (String added : config.output().columns()) {
      if (names.contains(added)) {
        throw new IllegalArgumentException(
            "--output-column: the input has a column '%s' already".formatted(added));
      }
    }
    return input;
  }

  private static PartitionTask task(JobConfig config, Weights weights) {
    return new PartitionTask(
        weights,
        new PartitionTask.Placement(
            config.execution().device(),
            config.execution().usedSlots(),
            config.execution().state()),
        config.input().prompting(),
        config.defaults());
  }

  private void write(Generations generations, InputRows input, String path) {
    SparkContext spark = input.rows().sparkSession().sparkContext();
    PrintWriter err = spec.commandLine().getErr();
    Progress progress = new Progress(err, spark, generations.counters(), input.count());
    try (progress) {
      generations
          .of(input)
          .write()
          .mode("append") // the folder is there, and holds nothing but the fingerprint
          .format(generations.config().output().format().toString())
          .option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")
          .option("ignoreNullFields", "false")
          .save(path);
    }
  }

  private static Outcome count(Session session, JobConfig config, InputRows input, String path) {
    Outcome outcome = Outcome.read(session.spark(), path, config.output());
    if (outcome.rows().total() != input.count()) {
      throw new IllegalStateException(
          "rows in and rows out differ: %d in the input, %d in %s"
              .formatted(input.count(), outcome.rows().total(), path));
    }
    return outcome;
  }

  private void print(String line) {
    spec.commandLine().getOut().println(line);
    spec.commandLine().getOut().flush();
  }

  private int exitCode(JobConfig config, Outcome outcome) {
    double allowed = config.output().writing().maxErrorFraction();
    if (outcome.rows().errorFraction() <= allowed) {
      return Main.OK;
    }
    PrintWriter err = spec.commandLine().getErr();
    err.printf(
        "%s: %d of %d rows are errors, at most a share of %s is allowed (--max-error-fraction)%n",
        spec.qualifiedName(), outcome.rows().errors(), outcome.rows().total(), allowed);
    err.flush();
    return Main.TOO_MANY_ERRORS;
  }
}
