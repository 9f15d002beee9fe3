package quamba.udf.benchmark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.IntBuffer;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import quamba.udf.Backends;
import quamba.udf.engine.Completion;
import quamba.udf.engine.Engine;
import quamba.udf.engine.Request;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.Sampling;
import quamba.udf.model.StateFormat;
import quamba.udf.quantizer.Scheme;
import quamba.udf.tokenizer.CharacterTokenizer;

/** A request's text does not depend on what else is under way, on any device. */
abstract class TextsContract {
  private static final int REQUESTS = 600;
  private static final int LONGEST_PROMPT = 70;
  private static final int MOST_TOKENS = 40;
  private static final int BEHIND_SURROGATES = 0x10000;

  /** As {@link Backends#open} names it. */
  abstract String device();

  abstract ModelShape shape();

  @ParameterizedTest
  @EnumSource(
      value = Scheme.class,
      names = {"W4A8", "W8A8"})
  void textsAreTheSameAtAnyNumberOfSlots(Scheme scheme) {
    Map<Integer, String> alone = texts(scheme, 1, 1);
    assertEquals(REQUESTS, alone.size());
    assertTrue(new HashSet<>(alone.values()).size() > REQUESTS / 2, "texts differ from each other");
    assertEquals(alone, texts(scheme, 64, 64));
    assertEquals(alone, texts(scheme, 512, 2048));
    assertEquals(alone, texts(scheme, 512, 2048), "once more");
  }

  private Map<Integer, String> texts(Scheme scheme, int slots, int tokensPerStep) {
    SyntheticModel source = new SyntheticModel(shape(), scheme, 5);
    int vocab = source.parsed().vocabulary().size();
    Capacity capacity = new Capacity(slots, tokensPerStep, StateFormat.parse("--state", "i8"));
    MambaModel model = ModelLoader.open(source, Backends.open(device(), 2), capacity, vocab);
    Map<Integer, String> texts = new TreeMap<>();
    try (BufferAllocator allocator = new RootAllocator();
        Engine engine =
            new Engine(
                model,
                new CharacterTokenizer(BEHIND_SURROGATES, vocab),
                OptionalInt.empty(),
                allocator);
        var completions =
            engine.complete(IntStream.range(0, REQUESTS).mapToObj(this::request).iterator())) {
      while (completions.hasNext()) {
        var generated = (Completion.Generated<Integer>) completions.next();
        texts.put(generated.row(), generated.text());
      }
    }
    return texts;
  }

  /** Every third is greedy. */
  private Request<Integer> request(int row) {
    SplittableRandom random = new SplittableRandom(row);
    int[] prompt = random.ints(1 + random.nextInt(LONGEST_PROMPT), 0, 1000).toArray();
    Sampling sampling =
        row % 3 == 0 ? Sampling.GREEDY : new Sampling(0.9f, row % 2 * 40, 0.95f, 0, 1.1f, row);
    return new Request.Prompt<>(
        row,
        IntBuffer.wrap(prompt),
        row,
        sampling,
        new Request.Limits(1 + random.nextInt(MOST_TOKENS), List.of()));
  }
}
