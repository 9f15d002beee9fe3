package quamba.job;

import java.nio.IntBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import quamba.udf.Backends;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.Step;
import quamba.udf.tokenizer.HuggingFaceTokenizer;
import quamba.udf.tokenizer.Tokenizer;

/** A model, asked text by text in the plainest way. */
final class Recount implements AutoCloseable {
  private static final int TOKENS_MAX = 1024;

  private final Tokenizer tokenizer;
  private final MambaModel model;

  Recount(Path folder) throws Exception {
    tokenizer = HuggingFaceTokenizer.open(Files.readAllBytes(folder.resolve("tokenizer.json")));
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      Capacity capacity = new Capacity(1, TOKENS_MAX);
      model =
          ModelLoader.open(checkpoint, Backends.open("cpu", 2), capacity, tokenizer.vocabulary());
    }
  }

  int[] encode(String text) {
    return tokenizer.encode(text);
  }

  /** Log-probabilities (tokens, vocab) after each of {@code ids}. */
  double[][] logProbabilities(int... ids) {
    int vocab = model.vocab();
    double[][] found = new double[ids.length][vocab];
    Step step = Step.allocate(1, TOKENS_MAX);
    step.clear();
    step.addPartial(0, 0, IntBuffer.wrap(ids));
    model.logits(
        step,
        (first, count, logits) -> {
          for (int token = 0; token < count; token++) {
            double sum = 0;
            for (int id = 0; id < vocab; id++) {
              found[first + token][id] = logits.get(token * model.logitsWidth() + id);
              sum += Math.exp(found[first + token][id]);
            }
            for (int id = 0; id < vocab; id++) {
              found[first + token][id] -= Math.log(sum);
            }
          }
        });
    return found;
  }

  static int likeliest(double... values) {
    int likeliest = 0;
    for (int i = 0; i < values.length; i++) {
      likeliest = values[i] > values[likeliest] ? i : likeliest;
    }
    return likeliest;
  }

  @Override
  public void close() {
    model.close();
    tokenizer.close();
  }
}
