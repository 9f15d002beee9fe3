package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.Batch;
import quamba.kernels.CheckedBackend;
import quamba.kernels.DType;
import quamba.kernels.Oracle;
import quamba.kernels.Probe;
import quamba.kernels.Sample;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/**
 * Sampling beyond the contract: vocabularies around and far above the ids that a block looks at
 * once, many rows and slots, several steps; cuts that a block's list of 3,072 ids has room for, and
 * cuts and vocabularies that are too large for it.
 */
@NeedsCuda
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CudaSampleTest {
  private static final int ROWS = 12;

  /** Columns of the logits that are no ids: they would win if they were looked at. */
  private static final int PADDING = 7;

  private final CudaShared shared = new CudaShared();
  private Probe probe;

  @BeforeEach
  void open() {
    probe = new Probe(new CheckedBackend(shared.backend()));
  }

  @AfterAll
  void close() {
    shared.close();
  }

  @ParameterizedTest(name = "vocab {0}: temperature {1}, top-k {2}, top-p {3}, min-p {4}, {5}")
  @CsvSource({
    "1000, 1, 0, 1, 0, 1",
    "1, 1, 0, 1, 0, 1",
    "33, 1, 0, 1, 0, 1",
    "511, 1, 0, 1, 0, 1",
    "512, 1, 0, 1, 0, 1",
    "513, 1, 0, 1, 0, 1",
    "50288, 1, 0, 1, 0, 1",
    "256000, 1, 0, 1, 0, 1",
    "1000, 0, 0, 1, 0, 1",
    "1000, 0, 0, 1, 0, 2",
    "50288, 0, 0, 1, 0, 1",
    "1000, 0.25, 0, 1, 0, 1",
    "1000, 4, 0, 1, 0, 1",
    "1000, 1, 1, 1, 0, 1",
    "1000, 1, 40, 1, 0, 1",
    "1000, 1, 999, 1, 0, 1",
    "1000, 1, 5000, 1, 0, 1",
    "50288, 1, 50, 1, 0, 1",
    "50288, 1, 50, 1, 0, 1.5",
    "50288, 1, 1024, 0.5, 0, 1",
    "50288, 1, 1025, 0.5, 0, 1",
    "50288, 1, 6000, 1, 0, 1",
    "131072, 1, 40, 0.9, 0, 1",
    "131104, 1, 40, 0.9, 0, 1",
    "1000, 1, 0, 0.9, 0, 1",
    "1000, 1, 0, 0.01, 0, 1",
    "1000, 1, 0, 0, 0, 1",
    "50288, 1, 0, 0.95, 0, 1",
    "50288, 0.1, 0, 0.95, 0, 1",
    "50288, 0.1, 0, 0.95, 0, 0.5",
    "50288, 0.01, 0, 0.3, 0.1, 1",
    "131104, 0.01, 0, 0.9, 0, 1",
    "1000, 1e-32, 0, 0.9, 0, 1",
    "1000, 1, 0, 1, 0.3, 1",
    "1000, 1, 0, 1, 1, 1",
    "1000, 1, 0, 1, 0, 1.5",
    "1000, 0.7, 60, 0.8, 0.02, 1.2",
    "50288, 0.7, 60, 0.8, 0.02, 1.2"
  })
  void chosenIdsFollowTheDistribution(
      int vocab, float temperature, int topK, float topP, float minP, float penalty) {
    var options = new Oracle.SampleOptions(temperature, topK, topP, minP, penalty);
    assertFollows(Probe.random(vocab, ROWS * (vocab + PADDING), 6), vocab, options);
  }

  @ParameterizedTest
  @CsvSource({"1, 0, 1", "0, 0, 1", "1, 7, 1", "1, 0, 0.5", "1, 700, 0.25", "1, 0, 0.95"})
  void ofEqualLogitsTheLowerIdsAreKept(float temperature, int topK, float topP) {
    var options = new Oracle.SampleOptions(temperature, topK, topP, 0, 1);
    for (int vocab : new int[] {1024, 6000}) {
      float[] logits = new float[ROWS * (vocab + PADDING)];
      Arrays.fill(logits, -0.25f);
      assertFollows(logits, vocab, options);
    }
  }

  /** Steps so coarse that cuts fall among equal logits: of 40, of 400 and of 8,000 ids. */
  @ParameterizedTest
  @CsvSource({"1, 100, 1", "1, 70, 0.9", "0.5, 0, 0.5", "0.5, 0, 0.9", "1, 1000, 0.7"})
  void cutsFallAmongEqualLogits(float temperature, int topK, float topP) {
    int vocab = 40_000;
    for (float step : new float[] {0.0125f, 0.125f, 2.5f}) {
      float[] logits = Probe.random(topK, ROWS * (vocab + PADDING), 6);
      for (int i = 0; i < logits.length; i++) {
        logits[i] = Math.round(logits[i] / step) * step;
      }
      assertFollows(logits, vocab, new Oracle.SampleOptions(temperature, topK, topP, 0, 1));
    }
  }

  /** A cut that keeps all of the last, highest ids and the first of many equal ones. */
  @ParameterizedTest
  @CsvSource({
    "500, 40, 1",
    "3000, 40, 1",
    "9000, 40, 1",
    "9000, 40, 0.999",
    "3000, 0, 0.5",
    "9000, 0, 0.5"
  })
  void theHighestLogitsMayBeLast(int vocab, int topK, float topP) {
    int width = vocab + PADDING;
    float[] logits = new float[ROWS * width];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = i % width < vocab - 30 ? 10 : 11;
    }
    assertFollows(logits, vocab, new Oracle.SampleOptions(1, topK, topP, 0, 1));
  }

  /** The highest logits are neighbours, which few threads read. */
  @ParameterizedTest
  @CsvSource({"40, 1", "1000, 1", "1000, 0.9", "0, 0.9"})
  void theHighestLogitsMayBeNeighbours(int topK, float topP) {
    int vocab = 50_288;
    int width = vocab + PADDING;
    float[] logits = new float[ROWS * width];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = -Math.abs(i % width - 777 * (i / width)) * 0.001f;
    }
    assertFollows(logits, vocab, new Oracle.SampleOptions(1, topK, topP, 0, 1));
  }

  /** Five steps: a first one of several tokens from position 0, then one token each. */
  private void assertFollows(float[] logits, int vocab, Oracle.SampleOptions options) {
    int width = vocab + PADDING;
    for (int row = 0; row < ROWS; row++) {
      Arrays.fill(logits, row * width + vocab, (row + 1) * width, 1e6f);
    }
    int[] slots = IntStream.range(0, ROWS).map(row -> ROWS - 1 - row).toArray();
    int[] keys = IntStream.range(0, ROWS * 4).map(i -> i * 0x9E3779B9 + 77).toArray();
    Sample sample = sample(options, keys, vocab);
    Tensor scores = probe.floats(logits, ROWS, width);
    Tensor out = probe.ints(new int[ROWS]);
    boolean[][] seen = new boolean[ROWS][vocab];
    double[][] distributions = new double[ROWS][];
    int[] positions = new int[ROWS];
    for (int step = 0; step < 5; step++) {
      int[] counts = new int[ROWS];
      Arrays.fill(counts, step == 0 ? 3 : 1);
      Batch batch = probe.batch(slots, counts, positions);
      int[] ids = new int[batch.tokens()];
      for (int token = 0; token < ids.length; token++) {
        ids[token] = (token * 131 + step * 17) % vocab;
        seen[token / counts[0]][ids[token]] = true;
      }
      probe.backend().sample(sample, batch, probe.ints(ids), scores, out);
      int[] chosen = probe.ints(out);
      for (int row = 0; row < ROWS; row++) {
        positions[row] += counts[row];
        if (step == 0 || options.repetitionPenalty() != 1) {
          float[] own = Arrays.copyOfRange(logits, row * width, row * width + vocab);
          distributions[row] = Oracle.distribution(own, seen[row], options);
        }
        double uniform = uniform(keys, slots[row], positions[row]);
        assertMayBeChosen(distributions[row], uniform, chosen[row]);
      }
    }
  }

  /** Probabilities are single-precision exponentials, good to some units of 2^-24 each. */
  private static void assertMayBeChosen(double[] distribution, double uniform, int id) {
    double before = Arrays.stream(distribution, 0, id).sum();
    double tolerance = 1e-6;
    assertTrue(
        distribution[id] > 0
            && before - tolerance <= uniform
            && uniform <= before + distribution[id] + tolerance,
        () ->
            "u %.9f chose id %d at %.9f of probability %.9f; expected id %d"
                .formatted(
                    uniform, id, before, distribution[id], Oracle.choose(distribution, uniform)));
  }

  private static double uniform(int[] keys, int slot, int index) {
    long[] key = {word(keys[slot * 4]), word(keys[slot * 4 + 1])};
    long[] counter = {word(keys[slot * 4 + 2]), word(keys[slot * 4 + 3]), index, 0};
    return ((Oracle.philox(counter, key)[0] >>> 8) + 0.5) * 0x1p-24;
  }

  private static long word(int bits) {
    return Integer.toUnsignedLong(bits);
  }

  @Test
  void logitsThatAreNoNumbersStillGiveAnId() {
    float[] logits = new float[ROWS * 100];
    Arrays.fill(logits, Float.NaN);
    int[] counts = IntStream.range(0, ROWS).map(row -> 1).toArray();
    Batch batch = probe.batch(IntStream.range(0, ROWS).toArray(), counts, new int[ROWS]);
    Tensor out = probe.ints(IntStream.range(0, ROWS).map(row -> -1).toArray());
    for (float temperature : new float[] {0, 1}) {
      var options = new Oracle.SampleOptions(temperature, 5, 0.5f, 0, 1);
      Sample sample = sample(options, new int[ROWS * 4], 100);
      Tensor scores = probe.floats(logits, ROWS, 100);
      probe.backend().sample(sample, batch, probe.ints(counts), scores, out);
      for (int id : probe.ints(out)) {
        assertTrue(id >= 0 && id < 100, () -> "id " + id);
      }
    }
  }

  private Sample sample(Oracle.SampleOptions options, int[] keys, int vocab) {
    float[] table = new float[ROWS * Sample.OPTIONS];
    for (int slot = 0; slot < ROWS; slot++) {
      table[slot * Sample.OPTIONS + Sample.TEMPERATURE] = options.temperature();
      table[slot * Sample.OPTIONS + Sample.TOP_K] = options.topK();
      table[slot * Sample.OPTIONS + Sample.TOP_P] = options.topP();
      table[slot * Sample.OPTIONS + Sample.MIN_P] = options.minP();
      table[slot * Sample.OPTIONS + Sample.REPETITION_PENALTY] = options.repetitionPenalty();
    }
    return new Sample(
        probe.floats(table, ROWS, Sample.OPTIONS),
        probe.ints(keys, Shape.of(ROWS, 4)),
        probe.backend().allocate(DType.I8, Shape.of(ROWS, vocab)));
  }
}
