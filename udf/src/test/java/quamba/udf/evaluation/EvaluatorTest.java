package quamba.udf.evaluation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.IntBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import quamba.udf.Backends;
import quamba.udf.SharedFiles;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.Step;

class EvaluatorTest {
  private static final int VOCAB = 8192;

  /** Another model of the same ids: without it, a test of differences is skipped. */
  private static final String OTHER = "models/mamba2-g4-6m";

  private static Path demo() {
    return SharedFiles.root().resolve("job/src/demo/mamba2-5m");
  }

  private static MambaModel open(Path folder, int vocab, Capacity capacity) {
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      return ModelLoader.open(checkpoint, Backends.open("cpu", 2), capacity, vocab);
    }
  }

  private static Evaluator evaluator(Path folder, int vocab, int threads) {
    return new Evaluator(open(folder, vocab, Evaluator.capacity(vocab)), Optional.empty(), threads);
  }

  /** Some longer than a step, some that share one with others, one of two ids. */
  private static List<Text> texts(int vocab) {
    Random random = new Random(7);
    List<Text> texts = new ArrayList<>();
    for (int length : List.of(300, 2, 31, 5, 90, 257, 256, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4)) {
      int[] ids = random.ints(length, 0, vocab).toArray();
      texts.add(new Text(ids, 1 + random.nextInt(length - 1)));
    }
    return texts;
  }

  /** Log-probabilities (tokens, vocab), one text alone, computed in the plainest way. */
  private static double[][] expect(MambaModel model, int vocab, int[] ids) {
    double[][] expected = new double[ids.length][vocab];
    Step step = Step.allocate(1, ids.length);
    step.clear();
    step.addPartial(0, 0, IntBuffer.wrap(ids));
    model.logits(
        step,
        (first, count, logits) -> {
          for (int token = 0; token < count; token++) {
            double sum = 0;
            for (int id = 0; id < vocab; id++) {
              sum += Math.exp(logits.get(token * model.logitsWidth() + id));
            }
            for (int id = 0; id < vocab; id++) {
              double logit = logits.get(token * model.logitsWidth() + id);
              expected[first + token][id] = logit - Math.log(sum);
            }
          }
        });
    return expected;
  }

  private static int likeliest(double[] values) {
    int likeliest = 0;
    for (int id = 0; id < values.length; id++) {
      likeliest = values[id] > values[likeliest] ? id : likeliest;
    }
    return likeliest;
  }

  @Test
  void scoresAreThoseOfAPlainRecount() {
    Path other = SharedFiles.shared(OTHER);
    Capacity one = new Capacity(1, 300);
    Capacity capacity = Evaluator.capacity(VOCAB);
    List<Text> texts = texts(VOCAB);
    List<Score> scores;
    try (Evaluator evaluator =
        new Evaluator(
            open(demo(), VOCAB, capacity), Optional.of(open(other, VOCAB, capacity)), 3)) {
      scores = evaluator.score(texts);
      assertFalse(evaluator.failed());
    }
    try (MambaModel model = open(demo(), VOCAB, one);
        MambaModel reference = open(other, VOCAB, one)) {
      for (int i = 0; i < texts.size(); i++) {
        int[] ids = texts.get(i).ids();
        double[][] found = expect(model, VOCAB, ids);
        double[][] wanted = expect(reference, VOCAB, ids);
        double nll = 0;
        double referenceNll = 0;
        double kl = 0;
        int hits = 0;
        int agreed = 0;
        for (int at = texts.get(i).from() - 1; at < ids.length - 1; at++) {
          nll -= found[at][ids[at + 1]];
          referenceNll -= wanted[at][ids[at + 1]];
          hits += likeliest(found[at]) == ids[at + 1] ? 1 : 0;
          agreed += likeliest(found[at]) == likeliest(wanted[at]) ? 1 : 0;
          for (int id = 0; id < VOCAB; id++) {
            kl += Math.exp(wanted[at][id]) * (wanted[at][id] - found[at][id]);
          }
        }
        Score score = scores.get(i);
        assertEquals(texts.get(i).scored(), score.tokens());
        assertEquals(nll, score.model().nll(), 1e-9 * nll);
        assertEquals(hits, score.model().hits());
        assertEquals(referenceNll, score.comparison().reference().nll(), 1e-9 * referenceNll);
        assertEquals(kl, score.comparison().kl(), 1e-9 * kl);
        assertEquals(agreed, score.comparison().agreed());
        assertTrue(kl > 0);
      }
    }
  }

  @Test
  void aTextScoresTheSameAloneAndAmongOthers() {
    List<Text> texts = texts(VOCAB);
    try (Evaluator evaluator = evaluator(demo(), VOCAB, 1);
        Evaluator threaded = evaluator(demo(), VOCAB, 4)) {
      List<Score> together = evaluator.score(texts);
      List<Score> alone = texts.stream().map(text -> threaded.score(List.of(text)).get(0)).toList();
      assertEquals(together, alone);
      assertTrue(Double.isNaN(together.get(0).comparison().kl()));
    }
  }

  @Test
  void aModelDoesNotDifferFromItself() {
    Capacity capacity = Evaluator.capacity(VOCAB);
    Text text = texts(VOCAB).get(0);
    try (Evaluator evaluator =
        new Evaluator(
            open(demo(), VOCAB, capacity), Optional.of(open(demo(), VOCAB, capacity)), 2)) {
      Score score = evaluator.score(List.of(text)).get(0);
      assertEquals(0, score.comparison().kl());
      assertEquals(text.scored(), score.comparison().agreed());
      assertEquals(score.model(), score.comparison().reference());
    }
  }

  @Test
  void idsThatDoNotExistHaveNoProbability() {
    int[] ids = {3, 7, 11, 900, 1};
    double nll = 0;
    try (MambaModel model = open(demo(), 1000, new Capacity(1, 5));
        Evaluator evaluator = evaluator(demo(), 1000, 2)) {
      double[][] found = expect(model, 1000, ids);
      for (int at = 0; at < ids.length - 1; at++) {
        nll -= found[at][ids[at + 1]];
      }
      Score score = evaluator.score(List.of(new Text(ids, 1))).get(0);
      assertEquals(nll, score.model().nll(), 1e-9 * nll);
    }
  }

  @Test
  void largeVocabularyMakesSmallSteps() {
    assertEquals(new Capacity(16, 256), Evaluator.capacity(8192));
    assertEquals(new Capacity(16, 41), Evaluator.capacity(50_280));
    assertEquals(new Capacity(16, 16), Evaluator.capacity(1_000_000));
  }

  @Test
  void aTextNeedsIdsBeforeThoseThatAreScored() {
    assertThrows(IllegalArgumentException.class, () -> new Text(new int[] {1, 2}, 0));
    assertThrows(IllegalArgumentException.class, () -> new Text(new int[] {1, 2}, 2));
    assertEquals(1, new Text(new int[] {1, 2}, 1).scored());
  }

  @Test
  @Timeout(60)
  void whoIsInterruptedStillWaitsForWhatIsUnderWay() throws Exception {
    CompletableFuture<Void> share = new CompletableFuture<>();
    AtomicBoolean interrupted = new AtomicBoolean();
    Thread caller = new Thread(() -> interrupted.set(Evaluator.finish(share)));
    caller.start();
    for (int time = 0; time < 2; time++) {
      caller.interrupt();
      while (caller.isInterrupted()) {
        Thread.onSpinWait(); // until the caller takes notice
      }
      caller.join(50);
      assertTrue(caller.isAlive(), "left before its share had ended");
    }
    share.complete(null);
    caller.join();
    assertTrue(interrupted.get());
    assertFalse(Evaluator.finish(CompletableFuture.completedFuture(null)));
  }
}
