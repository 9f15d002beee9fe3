package quamba.job;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaSparkContext;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import quamba.udf.CalibratePartition;
import quamba.udf.Sha256;
import quamba.udf.Weights;
import quamba.udf.calibration.Comparison;
import quamba.udf.checkpoint.NewFolder;
import quamba.udf.model.ModelBytes;
import quamba.udf.model.ModelConfig;
import quamba.udf.recipe.Quantized;
import quamba.udf.recipe.Quantizer;
import quamba.udf.recipe.Recipe;
import quamba.udf.recipe.SavedSteps;
import quamba.udf.tokenizer.HuggingFaceTokenizer;
import quamba.udf.tokenizer.Tokenizer;

/** A checkpoint and texts to calibrate with in, a quantized checkpoint out. */
@Command(
    name = "quantize",
    description = "Rounds a model's weights and activations to 8 or 4 bits.",
    sortOptions = false)
final class QuantizeCommand implements Callable<Integer> {
  @Mixin private QuantizeFlags flags;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    QuantizeConfig config = flags.config();
    NewFolder.requireEmpty(config.output());
    Phases phases = new Phases();
    try (Weights.Origin origin = Weights.Origin.open(config.model());
        Session session = Session.open()) {
      Quantizer.requireFloats(ModelConfig.parse(origin.checkpoint().config()));
      CalibrationTexts.Ids ids = ids(session, config, origin);
      print(
          "calibration: %d samples, %d held out"
              .formatted(ids.samples().size(), ids.heldOut().size()));
      phases.end("start-up");
      try (CalibratePartition calibration = calibration(session, config, ids)) {
        Recipe.Means means =
            new Recipe.Means(
                new HeadClustering(session.spark(), config.seed()),
                Runtime.getRuntime().availableProcessors());
        SavedSteps.Folder saved =
            SavedSteps.Folder.open(unfinished(config.output()), identity(config, origin, ids));
        Quantized quantized =
            new Quantizer(config.recipe(), calibration, means, this::progress)
                .quantize(origin.checkpoint(), saved);
        phases.end("quantize");
        Comparison comparison = calibration.compare(origin.checkpoint(), quantized.model());
        phases.end("compare");
        quantized.write(config.output(), origin.tokenizer());
        saved.delete();
        phases.end("write");
        new QuantizeReport(
                quantized.layers(),
                ModelBytes.of(origin.checkpoint()),
                ModelBytes.of(quantized.model()),
                comparison)
            .lines()
            .forEach(this::print);
        print("seconds: " + phases);
        print("output: " + config.output());
      }
    }
    return Main.OK;
  }

  /** Where the layers are that are done, until the output is there. */
  private static Path unfinished(Path output) {
    Path target = output.toAbsolutePath().normalize();
    return target.resolveSibling("." + target.getFileName() + ".unfinished");
  }

  /** Of everything that decides the result, so that no other run's layers are taken over. */
  private static String identity(
      QuantizeConfig config, Weights.Origin origin, CalibrationTexts.Ids ids) {
    String samples =
        Stream.concat(ids.samples().stream(), ids.heldOut().stream())
            .map(Arrays::toString)
            .collect(Collectors.joining());
    return HexFormat.of()
        .formatHex(Sha256.of(origin.id(), config.recipe().identity(), samples, "" + config.seed()));
  }

  private static CalibrationTexts.Ids ids(
      Session session, QuantizeConfig config, Weights.Origin origin) throws IOException {
    byte[] json = origin.tokenizer().getBytes(StandardCharsets.UTF_8);
    try (Tokenizer tokenizer = HuggingFaceTokenizer.open(json)) {
      return CalibrationTexts.read(session, config.samples(), tokenizer);
    }
  }

  private static CalibratePartition calibration(
      Session session, QuantizeConfig config, CalibrationTexts.Ids ids) {
    JavaSparkContext spark = session.context();
    int threads = spark.getConf().getInt("spark.task.cpus", 1);
    return new CalibratePartition(
        spark,
        ids.samples(),
        ids.heldOut(),
        spark.defaultParallelism(),
        new CalibratePartition.Work("cpu", threads, config.samples().tokens()));
  }

  private void progress(String line) {
    PrintWriter err = spec.commandLine().getErr();
    err.println("quamba: " + line);
    err.flush();
  }

  private void print(String line) {
    spec.commandLine().getOut().println(line);
    spec.commandLine().getOut().flush();
  }
}
