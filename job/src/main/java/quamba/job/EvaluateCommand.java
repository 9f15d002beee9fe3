package quamba.job;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import quamba.udf.EvaluationTask;
import quamba.udf.Weights;
import quamba.udf.model.ModelLoader;
import quamba.udf.tokenizer.HuggingFaceTokenizer;
import quamba.udf.tokenizer.Tokenizer;

/** How good a model is, and how near to its reference; a gate can say no. */
@Command(
    name = "evaluate",
    description = "Measures perplexity, tasks and the distance to a reference model.",
    sortOptions = false)
final class EvaluateCommand implements Callable<Integer> {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Mixin private EvaluateFlags flags;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    EvaluateConfig config = flags.config();
    List<Weights.Origin> origins = new ArrayList<>();
    try {
      origins.add(Weights.Origin.open(config.model()));
      ModelLoader.check(origins.get(0).checkpoint(), config.execution().state());
      if (config.reference().isPresent()) {
        origins.add(Weights.Origin.open(config.reference().get()));
        requireSameTokens(origins.get(0), origins.get(1));
      }
      return evaluate(config, origins);
    } finally {
      origins.forEach(Weights.Origin::close);
    }
  }

  private static void requireSameTokens(Weights.Origin model, Weights.Origin reference)
      throws JsonProcessingException {
    if (!JSON.readTree(model.tokenizer()).equals(JSON.readTree(reference.tokenizer()))) {
      throw new IllegalArgumentException(
          "--reference: expected the tokenizer of --model, found another one");
    }
  }

  /** Everything is read and cut before there is a cluster. */
  private int evaluate(EvaluateConfig config, List<Weights.Origin> origins) throws Exception {
    Phases phases = new Phases();
    byte[] json = origins.get(0).tokenizer().getBytes(StandardCharsets.UTF_8);
    List<Subject> subjects = new ArrayList<>();
    try (Tokenizer tokenizer = HuggingFaceTokenizer.open(json)) {
      for (String file : config.subjects().texts()) {
        subjects.add(TextWindows.read(file, config.subjects(), tokenizer));
      }
      config
          .subjects()
          .tasks()
          .forEach(
              (name, file) ->
                  subjects.add(TaskItems.read(name, file, config.subjects(), tokenizer)));
      requireDecidable(config, subjects);
      phases.end("texts");
      EvaluationReport report =
          new EvaluationReport(score(config, origins, tokenizer.vocabulary(), subjects));
      phases.end("evaluate");
      return conclude(config, report, phases);
    }
  }

  /** Names that the flags alone could not tell: a task of last words has no lengths to norm by. */
  private static void requireDecidable(EvaluateConfig config, List<Subject> subjects) {
    for (Subject subject : subjects) {
      if (subject instanceof LastWords words) {
        String absent = words.name() + ".acc_norm";
        if (config.verdict().gate().names(absent)) {
          throw new IllegalArgumentException(
              "--gate: %s: expected a task of multiple choice, found one of last words"
                  .formatted(absent));
        }
      }
    }
  }

  private static List<Findings> score(
      EvaluateConfig config, List<Weights.Origin> origins, int vocab, List<Subject> subjects) {
    try (Session session = Session.open()) {
      session.requireDevice(config.execution().device());
      List<Weights> weights = new ArrayList<>();
      try {
        for (Weights.Origin origin : origins) {
          weights.add(config.execution().weights().send(origin, session.context()));
        }
        EvaluationTask task =
            new EvaluationTask(
                weights, config.execution().device(), config.execution().state(), vocab);
        return new Evaluation(session.context(), task).of(subjects);
      } finally {
        weights.forEach(Weights::release);
      }
    }
  }

  private int conclude(EvaluateConfig config, EvaluationReport report, Phases phases)
      throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    report.lines().forEach(out::println);
    out.println("seconds: " + phases);
    if (config.verdict().json().isPresent()) {
      report.write(config.verdict().json().get());
      out.println("JSON: " + config.verdict().json().get());
    }
    out.flush();
    List<String> failures = config.verdict().gate().failures(report.metrics());
    PrintWriter err = spec.commandLine().getErr();
    failures.forEach(line -> err.println(spec.qualifiedName() + ": " + line));
    err.flush();
    return failures.isEmpty() ? Main.OK : Main.GATED;
  }
}
