package quamba.udf.calibration;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import quamba.kernels.Backend;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.evaluation.Distribution;
import quamba.udf.model.Capacity;
import quamba.udf.model.LogitsConsumer;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.QuantizedNames.Tap;
import quamba.udf.model.StateFormat;
import quamba.udf.model.Step;

/** A model that is opened to run whole samples, one at a time. */
public final class SampleRun implements AutoCloseable {
  /** Tokens whose logits are computed at once. */
  private static final int LOGITS = 16;

  private final MambaModel model;
  private final Step step;

  private SampleRun(MambaModel model, Step step) {
    this.model = model;
    this.step = step;
  }

  /**
   * Opens a model to be compared.
   *
   * @param backend closed with the run
   * @param mostTokens of a sample
   */
  public static SampleRun open(TensorSource source, Backend backend, int mostTokens) {
    return open(source, backend, mostTokens, StateFormat.F32);
  }

  /** As {@link #open(TensorSource, Backend, int)}, with states in another format. */
  public static SampleRun open(
      TensorSource source, Backend backend, int mostTokens, StateFormat state) {
    int vocabulary = ModelConfig.parse(source.config()).vocabulary().size();
    Capacity capacity = new Capacity(LOGITS, Math.max(LOGITS, mostTokens), state);
    return new SampleRun(
        ModelLoader.open(source, backend, capacity, vocabulary),
        Step.allocate(LOGITS, capacity.tokensPerStep()));
  }

  /** Collects the ranges of samples. */
  public static Ranges ranges(
      TensorSource source,
      Backend backend,
      int mostTokens,
      Iterable<int[]> samples,
      Set<Tap> taps) {
    Ranges ranges = new Ranges(taps);
    try (SampleRun run = observed(source, backend, mostTokens, ranges)) {
      samples.forEach(sample -> run.logits(sample, (first, count, logits) -> {}));
    }
    return ranges;
  }

  /** Collects the second moments of samples into {@code moments}. */
  public static MomentsBySite moments(
      TensorSource source,
      Backend backend,
      int mostTokens,
      Iterable<int[]> samples,
      MomentsBySite moments) {
    int layers = ModelConfig.parse(source.config()).layers();
    boolean head = moments.wants(new Site(layers, CalibratingBackend.HEAD_TAP));
    try (SampleRun run = observed(source, backend, mostTokens, moments)) {
      for (int[] sample : samples) {
        if (head) {
          run.logits(sample, (first, count, logits) -> {});
        } else {
          run.forward(sample);
        }
      }
    }
    return moments;
  }

  private static SampleRun observed(
      TensorSource source, Backend backend, int mostTokens, Observer observer) {
    ModelConfig config = ModelConfig.parse(source.config());
    return open(source, new CalibratingBackend(backend, config, observer), mostTokens);
  }

  /** Compares the model with {@code reference} on one sample of two tokens or more. */
  public static Comparison compare(SampleRun reference, SampleRun run, int[] sample) {
    return compareAll(reference, List.of(run), sample).get(0);
  }

  /** Compares several models with {@code reference}, which runs once. */
  public static List<Comparison> compareAll(
      SampleRun reference, List<SampleRun> runs, int[] sample) {
    int width = reference.model.vocab();
    float[] expected = new float[(sample.length - 1) * width];
    reference.logits(
        sample,
        (first, count, logits) -> {
          for (int i = 0; i < Math.min(count, sample.length - 1 - first); i++) {
            logits.get(i * reference.model.logitsWidth(), expected, (first + i) * width, width);
          }
        });
    List<Comparison> comparisons = new ArrayList<>();
    for (SampleRun run : runs) {
      Sums sums = new Sums(expected, sample, width);
      run.logits(sample, (first, count, logits) -> sums.add(first, count, logits, run));
      comparisons.add(
          new Comparison(sample.length - 1, sums.referenceLoss, sums.loss, sums.divergence));
    }
    return comparisons;
  }

  private void forward(int[] sample) {
    step.clear();
    step.addPartial(0, 0, IntBuffer.wrap(sample));
    model.step(step);
  }

  private void logits(int[] sample, LogitsConsumer consumer) {
    step.clear();
    step.addPartial(0, 0, IntBuffer.wrap(sample));
    model.logits(step, consumer);
  }

  @Override
  public void close() {
    model.close();
  }

  /** Of one comparison. */
  private static final class Sums {
    private final FloatBuffer logits; // (tokens - 1, width), the reference's
    private final int[] sample;
    private final int width;
    private final Distribution expected;
    private final Distribution found;
    private double referenceLoss;
    private double loss;
    private double divergence;

    Sums(float[] logits, int[] sample, int width) {
      this.logits = FloatBuffer.wrap(logits);
      this.sample = sample;
      this.width = width;
      expected = new Distribution(width);
      found = new Distribution(width);
    }

    void add(int first, int count, FloatBuffer piece, SampleRun run) {
      for (int i = 0; i < Math.min(count, sample.length - 1 - first); i++) {
        int next = sample[first + i + 1];
        expected.read(logits, (first + i) * width);
        found.read(piece, i * run.model.logitsWidth());
        referenceLoss -= expected.logProbability(next);
        loss -= found.logProbability(next);
        divergence += expected.divergence(found);
      }
    }
  }
}
