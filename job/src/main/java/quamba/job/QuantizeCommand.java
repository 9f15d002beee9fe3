package quamba.job;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.spark.api.java.JavaSparkContext;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import quamba.udf.CalibratePartition;
import quamba.udf.Weights;
import quamba.udf.calibration.Comparison;
import quamba.udf.checkpoint.NewFolder;
import quamba.udf.recipe.LayerReport;
import quamba.udf.recipe.Quantized;
import quamba.udf.recipe.Quantizer;
import quamba.udf.recipe.Recipe;
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
        Quantized quantized =
            new Quantizer(config.recipe(), calibration, means, this::progress)
                .quantize(origin.checkpoint());
        phases.end("quantize");
        Comparison comparison = calibration.compare(origin.checkpoint(), quantized.model());
        phases.end("compare");
        long bytes = quantized.write(config.output(), origin.tokenizer());
        phases.end("write");
        report(origin, quantized, comparison, bytes);
        print("seconds: " + phases);
        print("output: " + config.output());
      }
    }
    return Main.OK;
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

  private void report(Weights.Origin origin, Quantized quantized, Comparison comparison, long bytes)
      throws IOException {
    for (LayerReport layer : quantized.layers()) {
      print(layer.toString());
    }
    long before = 0;
    for (Path file : origin.checkpoint().files()) {
      before += file.toString().endsWith(".safetensors") ? Files.size(file) : 0;
    }
    print(
        String.format(
            Locale.ROOT,
            "tensors: %d bytes before, %d after (%.1f%%)",
            before,
            bytes,
            100.0 * bytes / before));
    print(
        String.format(
            Locale.ROOT,
            "held-out texts: perplexity %.4f before, %.4f after; divergence %.5f a token",
            comparison.referencePerplexity(),
            comparison.perplexity(),
            comparison.divergencePerToken()));
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
