package quamba.job;

import java.nio.file.Path;
import quamba.udf.recipe.Recipe;

/**
 * What a job that quantizes means.
 *
 * @param seed of the clustering
 */
record QuantizeConfig(Path model, Path output, Recipe recipe, Samples samples, long seed) {
  /**
   * Texts to calibrate with.
   *
   * @param path of texts
   * @param count of samples
   * @param tokens of a sample
   */
  record Samples(String path, int count, int tokens) {
    /** A text of fewer tokens says nothing and is skipped. */
    static final int LEAST_TOKENS = 32;

    private static final int MOST_TOKENS = 1 << 16;

    Samples {
      if (count < 2) {
        throw new IllegalArgumentException("--samples must be 2 or more, found " + count);
      }
      if (tokens < LEAST_TOKENS || tokens > MOST_TOKENS) {
        throw new IllegalArgumentException(
            "--sample-tokens must be %d to %d, found %d"
                .formatted(LEAST_TOKENS, MOST_TOKENS, tokens));
      }
    }
  }
}
