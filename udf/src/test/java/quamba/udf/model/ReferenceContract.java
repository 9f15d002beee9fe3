package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.udf.Backends;
import quamba.udf.checkpoint.Checkpoint;

/** Trained models against float64, on every device. */
abstract class ReferenceContract {
  /** Below this margin between the two best logits, single precision may choose the other. */
  private static final double UNDECIDED = 1e-3;

  /** As {@link Backends#open} names it. */
  abstract String device();

  private MambaModel open(Path dir, Capacity capacity) {
    try (Checkpoint checkpoint = Checkpoint.open(dir)) {
      int vocab = ModelConfig.parse(checkpoint.config()).vocabulary().size();
      return ModelLoader.open(checkpoint, Backends.open(device(), 2), capacity, vocab);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "mamba2-5m, 2e-3",
    "mamba1-18m, 2e-3",
    "mamba2-15m, 2e-3",
    "mamba2-g4-6m, 2e-3",
    "hf-mamba, 1e-3"
  })
  void logitsAgree(String name, double tolerance) {
    Reference reference = Reference.of(name);
    FloatBuffer expected = reference.floats("logits");
    int[] positions = reference.logitPositions();
    try (MambaModel model = open(reference.dir(), new Capacity(8, reference.columns()))) {
      int width = model.logitsWidth();
      double worst = 0;
      for (int row = 0; row < reference.rows(); row++) {
        float[][] found = Rows.logits(model, row, reference.columns(), reference.row(row));
        for (int i = 0; i < positions.length; i++) {
          int at = (row * positions.length + i) * width;
          for (int id = 0; id < width; id++) {
            worst = Math.max(worst, Math.abs(expected.get(at + id) - found[positions[i]][id]));
          }
        }
      }
      assertEquals(0, worst, tolerance);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"mamba2-5m", "mamba1-18m", "mamba2-15m", "mamba2-g4-6m"})
  void negativeLogLikelihoodsAgree(String name) {
    Reference reference = Reference.of(name);
    int rows = reference.rows();
    int columns = reference.columns();
    IntBuffer tokens = reference.tokens();
    FloatBuffer expected = reference.floats("nll");
    Step step = Step.allocate(64, rows * columns);
    step.clear();
    for (int row = 0; row < rows; row++) {
      step.addPartial(63 - row, 0, tokens.slice(row * columns, columns));
    }
    double[] worst = new double[1];
    try (MambaModel model = open(reference.dir(), new Capacity(64, rows * columns))) {
      model.logits(
          step,
          (first, count, logits) -> {
            for (int token = first; token < first + count; token++) {
              int row = token / columns;
              int column = token % columns;
              if (column < columns - 1) {
                FloatBuffer one =
                    logits.slice((token - first) * model.logitsWidth(), model.logitsWidth());
                double found = negativeLogLikelihood(one, tokens.get(token + 1));
                double deviation = Math.abs(found - expected.get(row * (columns - 1) + column));
                worst[0] = Math.max(worst[0], deviation);
              }
            }
          });
    }
    assertEquals(0, worst[0], 1e-3);
  }

  private static double negativeLogLikelihood(FloatBuffer logits, int id) {
    double most = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < logits.limit(); i++) {
      most = Math.max(most, logits.get(i));
    }
    double sum = 0;
    for (int i = 0; i < logits.limit(); i++) {
      sum += Math.exp(logits.get(i) - most);
    }
    return Math.log(sum) + most - logits.get(id);
  }

  @ParameterizedTest
  @ValueSource(strings = {"mamba2-5m", "mamba1-18m", "mamba2-15m", "mamba2-g4-6m"})
  void greedyTextsAgreeUpToTheFirstUndecidedChoice(String name) {
    Reference reference = Reference.of(name);
    List<Reference.Prompt> prompts = reference.prompts();
    List<Rows.Row> rows =
        IntStream.range(0, prompts.size())
            .mapToObj(slot -> Rows.Row.greedy(slot, prompts.get(slot).ids()))
            .toList();
    int all = 0;
    int compared = 0;
    try (MambaModel model = open(reference.dir(), new Capacity(16, 64));
        MambaModel wide = open(reference.dir(), new Capacity(16, 512))) {
      List<List<Integer>> texts = Rows.generate(model, 48, 64, rows);
      assertEquals(texts, Rows.generateAhead(wide, 48, rows));
      for (int i = 0; i < prompts.size(); i++) {
        Reference.Prompt prompt = prompts.get(i);
        int decided = 0;
        while (decided < 48 && prompt.margins().get(decided) >= UNDECIDED) {
          decided++;
        }
        assertEquals(
            prompt.generated().subList(0, decided),
            texts.get(i).subList(0, decided),
            "prompt " + i);
        all += 48;
        compared += decided;
      }
    }
    assertTrue(compared > 0.9 * all, compared + " of " + all + " ids were decided");
  }
}
