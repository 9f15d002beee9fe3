package quamba.udf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.nio.IntBuffer;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.junit.jupiter.api.AfterEach;
import quamba.udf.model.Sampling;
import quamba.udf.tokenizer.CharacterTokenizer;

/** An engine of a scripted model, and what it must say. */
abstract class EngineContext {
  static final int END = 25; // z ends a text
  final CharacterTokenizer tokenizer = new CharacterTokenizer('a', ScriptedModel.VOCAB);
  final BufferAllocator allocator = new RootAllocator(1 << 20);

  @AfterEach
  void everyVectorWasGivenBack() {
    assertEquals(0, allocator.getAllocatedMemory());
    allocator.close();
  }

  Engine engine(ScriptedModel model) {
    return new Engine(model, tokenizer, OptionalInt.of(END), allocator);
  }

  Request<String> request(String prompt, int maxTokens, String... stop) {
    return new Request.Prompt<>(
        prompt,
        IntBuffer.wrap(tokenizer.encode(prompt)),
        0,
        Sampling.GREEDY,
        new Request.Limits(maxTokens, List.of(stop)));
  }

  /** What the scripted model says after a prompt, by the plainest loop. */
  String expected(String prompt, int maxTokens) {
    long history = 0;
    for (int id : tokenizer.encode(prompt)) {
      history = ScriptedModel.advance(history, id);
    }
    StringBuilder text = new StringBuilder();
    for (int token = 0; token < maxTokens; token++) {
      int id = ScriptedModel.next(history);
      if (id == END) {
        break;
      }
      text.append((char) ('a' + id));
      history = ScriptedModel.advance(history, id);
    }
    return text.toString();
  }

  static List<String> prompts(int count) {
    Random random = new Random(7);
    return IntStream.range(0, count)
        .mapToObj(
            row ->
                letters(row)
                    + random
                        .ints(1 + random.nextInt(40), 'a', 'z')
                        .collect(
                            StringBuilder::new,
                            (text, letter) -> text.append((char) letter),
                            StringBuilder::append)
                        .toString())
        .toList();
  }

  private static String letters(int number) {
    return "" + (char) ('a' + number / 25 % 25) + (char) ('a' + number % 25);
  }

  Completion.Generated<String> only(Engine engine, Request<String> request) {
    try (var results = engine.complete(List.of(request).iterator())) {
      var result = (Completion.Generated<String>) results.next();
      assertFalse(results.hasNext());
      return result;
    }
  }
}
