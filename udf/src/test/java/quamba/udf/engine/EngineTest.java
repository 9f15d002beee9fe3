package quamba.udf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.udf.model.Sampling;
import quamba.udf.tokenizer.CharacterTokenizer;

@Timeout(60)
class EngineTest {
  private static final int END = 25; // z ends a text
  private final CharacterTokenizer tokenizer = new CharacterTokenizer('a', ScriptedModel.VOCAB);
  private final BufferAllocator allocator = new RootAllocator(1 << 20);

  @AfterEach
  void everyVectorWasGivenBack() {
    assertEquals(0, allocator.getAllocatedMemory());
    allocator.close();
  }

  private Engine engine(ScriptedModel model) {
    return new Engine(model, tokenizer, OptionalInt.of(END), allocator);
  }

  private Request<String> request(String prompt, int maxTokens, String... stop) {
    return new Request.Prompt<>(
        prompt,
        IntBuffer.wrap(tokenizer.encode(prompt)),
        0,
        Sampling.GREEDY,
        new Request.Limits(maxTokens, List.of(stop)));
  }

  /** What the scripted model says after a prompt, by the plainest loop. */
  private String expected(String prompt, int maxTokens) {
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

  private static List<String> prompts(int count) {
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

  private Map<String, String> texts(Iterator<Completion<String>> completions) {
    Map<String, String> texts = new HashMap<>();
    while (completions.hasNext()) {
      var generated = (Completion.Generated<String>) completions.next();
      texts.put(generated.row(), generated.text());
    }
    return texts;
  }

  @Test
  void everyRowGetsItsOwnTextWhateverSlotsAndStepSizes() {
    List<String> prompts = prompts(200);
    for (int slots : new int[] {1, 3, 16, 500}) {
      for (int tokensPerStep : new int[] {slots, slots + 5, slots + 1000}) {
        ScriptedModel model = new ScriptedModel(slots, tokensPerStep);
        try (Engine engine = engine(model);
            var results =
                engine.complete(prompts.stream().map(prompt -> request(prompt, 12)).iterator())) {
          Map<String, String> texts = texts(results);
          assertEquals(200, texts.size());
          texts.forEach((prompt, text) -> assertEquals(expected(prompt, 12), text, prompt));
        }
        assertTrue(model.ahead, "no step began before the ids of the one before were known");
        assertTrue(model.closed);
      }
    }
  }

  @Test
  void tasksShareOneEngineAndEachGetsItsOwnRows() throws Exception {
    List<String> prompts = prompts(300);
    try (Engine engine = engine(new ScriptedModel(8, 32))) {
      ExecutorService tasks = Executors.newFixedThreadPool(5);
      List<Future<Map<String, String>>> parts = new ArrayList<>();
      for (int task = 0; task < 5; task++) {
        List<String> part = prompts.subList(task * 60, (task + 1) * 60);
        parts.add(
            tasks.submit(
                () -> {
                  try (var results =
                      engine.complete(part.stream().map(p -> request(p, 9)).iterator())) {
                    return texts(results);
                  }
                }));
      }
      for (int task = 0; task < 5; task++) {
        Map<String, String> texts = parts.get(task).get();
        assertEquals(60, texts.size());
        for (String prompt : prompts.subList(task * 60, (task + 1) * 60)) {
          assertEquals(expected(prompt, 9), texts.get(prompt));
        }
      }
      tasks.shutdown();
    }
  }

  /** Of other rows it is known only one step later that they have ended. */
  @Test
  void aRowThatEndsByItsLengthIsInNoStepTooMany() {
    List<String> prompts = prompts(200);
    long tokens = 0;
    int ended = 0;
    for (String prompt : prompts) {
      int length = expected(prompt, 12).length();
      tokens += Math.min(12, length + 1);
      ended += length < 12 ? 1 : 0;
    }
    ScriptedModel model = new ScriptedModel(16, 1000);
    try (Engine engine = engine(model);
        var results = engine.complete(prompts.stream().map(p -> request(p, 12)).iterator())) {
      texts(results);
      assertEquals(tokens, engine.load().generatedTokens());
    }
    int rows = model.rowsOfSteps.stream().mapToInt(step -> step).sum();
    assertTrue(ended > 0 && rows > tokens && rows <= tokens + ended, rows + " rows, " + tokens);
  }

  @Test
  void slotsStayFullWhileThereAreRows() {
    ScriptedModel model = new ScriptedModel(16, 128);
    model.stepMillis = 3;
    List<String> prompts = prompts(400);
    try (Engine engine = engine(model);
        var results = engine.complete(prompts.stream().map(p -> request(p, 10)).iterator())) {
      texts(results);
      Engine.Load load = engine.load();
      assertEquals(model.rowsOfSteps.size(), load.steps());
      assertEquals(prompts.stream().mapToLong(String::length).sum(), load.promptTokens());
      Engine.Full full = engine.takeFull();
      assertTrue(full.generatedTokens() > load.generatedTokens() / 2, full + " of " + load);
      assertTrue(full.generatedTokens() <= load.generatedTokens(), full + " of " + load);
      assertTrue(full.nanos() > full.generatedTokens() / 16 * 3_000_000L / 2, full.toString());
      assertTrue(results.firstTokenMillis() > 0 && results.firstTokenMillis() < full.endMillis());
    }
    assertTrue(
        model.mixed,
        "steps with and without rounding in them, of which the model checks the order");
    double busy = model.rowsOfSteps.stream().mapToInt(rows -> rows).average().orElseThrow();
    assertTrue(busy > 12, "rows of a step on average, of 16 slots: " + busy);
  }

  @Test
  void aRowIsPulledOnlyWhenAPlaceIsFree() {
    ScriptedModel model = new ScriptedModel(8, 64);
    CountDownLatch gate = new CountDownLatch(1);
    model.gate = gate;
    AtomicInteger pulled = new AtomicInteger();
    Iterator<Request<String>> endless =
        new Iterator<>() {
          @Override
          public boolean hasNext() {
            return true;
          }

          @Override
          public Request<String> next() {
            if (pulled.incrementAndGet() == 9) {
              gate.countDown();
            }
            return request("abc", 1000);
          }
        };
    try (Engine engine = engine(model);
        var results = engine.complete(endless)) {
      assertTrue(results.hasNext());
      // 8 slots, 1 waiting; the one that finished made room for at most a few more.
      assertTrue(pulled.get() <= 9 + engine.load().steps(), "pulled " + pulled);
      assertTrue(pulled.get() < 100, "pulled " + pulled);
    }
  }

  @Test
  void endOfTextStopTextAndLengthEndAGeneration() {
    try (Engine engine = engine(new ScriptedModel(4, 16))) {
      String prompt =
          prompts(100).stream()
              .filter(p -> expected(p, 200).length() > 6 && expected(p, 200).length() < 200)
              .findFirst()
              .orElseThrow();
      String all = expected(prompt, 200);
      var stopped = only(engine, request(prompt, 200));
      assertEquals(all, stopped.text());
      assertEquals(Completion.Finish.STOP, stopped.finish());
      assertEquals(all.length() + 1, stopped.generatedTokens());
      assertEquals(prompt.length(), stopped.promptTokens());

      var cut = only(engine, request(prompt, 4));
      assertEquals(all.substring(0, 4), cut.text());
      assertEquals(Completion.Finish.LENGTH, cut.finish());
      assertEquals(4, cut.generatedTokens());

      String stop = all.substring(3, 6);
      var atStop = only(engine, request(prompt, 200, "#", stop));
      assertEquals(all.substring(0, all.indexOf(stop)), atStop.text());
      assertEquals(Completion.Finish.STOP, atStop.finish());
      assertEquals(all.indexOf(stop) + 3, atStop.generatedTokens());
    }
  }

  private Completion.Generated<String> only(Engine engine, Request<String> request) {
    try (var results = engine.complete(List.of(request).iterator())) {
      var result = (Completion.Generated<String>) results.next();
      assertFalse(results.hasNext());
      return result;
    }
  }

  @Test
  void rejectedRowsPassThroughWithoutASlot() {
    ScriptedModel model = new ScriptedModel(2, 8);
    RowError error = new RowError("null-prompt", "the prompt is null", false);
    List<Request<String>> requests = new ArrayList<>();
    for (int row = 0; row < 50; row++) {
      requests.add(new Request.Rejected<>("bad" + row, error));
      requests.add(request("abc", 3));
    }
    int failed = 0;
    int generated = 0;
    try (Engine engine = engine(model);
        var results = engine.complete(requests.iterator())) {
      while (results.hasNext()) {
        if (results.next() instanceof Completion.Failed<String> row) {
          assertEquals(error, row.error());
          failed++;
        } else {
          generated++;
        }
      }
    }
    assertEquals(50, failed);
    assertEquals(50, generated);
  }

  @Test
  void noRowsGiveNoResults() {
    try (Engine engine = engine(new ScriptedModel(2, 8));
        var results = engine.complete(List.<Request<String>>of().iterator())) {
      assertFalse(results.hasNext());
    }
  }

  @Test
  void aCallerThatGoesAwayFreesItsPlacesForOthers() {
    ScriptedModel model = new ScriptedModel(2, 8);
    try (Engine engine = engine(model)) {
      for (int round = 0; round < 20; round++) {
        var abandoned =
            engine.complete(IntStream.range(0, 9).mapToObj(i -> request("abc", 5)).iterator());
        assertTrue(abandoned.hasNext());
        abandoned.close();
        assertFalse(abandoned.hasNext());
      }
      assertEquals(expected("xyw", 5), only(engine, request("xyw", 5)).text());
    }
  }

  /** Spark's iterators throw checked exceptions too, as Scala does not declare them. */
  @ParameterizedTest
  @ValueSource(classes = {IllegalStateException.class, IOException.class, StackOverflowError.class})
  void aSourceThatThrowsLosesNoPlace(Class<? extends Throwable> kind) throws Exception {
    Throwable gone = kind.getConstructor(String.class).newInstance("the input is gone");
    try (Engine engine = engine(new ScriptedModel(2, 8))) {
      for (int round = 0; round < 20; round++) {
        Iterator<Request<String>> broken =
            Stream.of("abc", "")
                .map(prompt -> prompt.isEmpty() ? EngineTest.fail(gone) : request(prompt, 5))
                .iterator();
        try (var results = engine.complete(broken)) {
          assertThrows(kind, () -> results.forEachRemaining(row -> {}));
        }
      }
      assertEquals(expected("xyw", 5), only(engine, request("xyw", 5)).text());
    }
  }

  @SuppressWarnings("unchecked")
  private static <E extends Throwable> Request<String> fail(Throwable failure) throws E {
    throw (E) failure;
  }

  @Test
  void aPromptThatDoesNotFitTheAllocatorBecomesAnErrorRow() {
    String huge = "a".repeat(1 << 19);
    try (Engine engine = engine(new ScriptedModel(2, 8));
        var results = engine.complete(List.of(request(huge, 5), request("abc", 5)).iterator())) {
      var failed = (Completion.Failed<String>) results.next();
      assertEquals("out-of-memory", failed.error().errorClass());
      assertTrue(failed.error().retryable());
      assertEquals("abc", results.next().row());
      assertFalse(results.hasNext());
    }
  }

  @Test
  void aGenerationThatOutgrowsTheAllocatorBecomesAnErrorRow() {
    String prompt =
        prompts(400).stream()
            .filter(p -> p.length() < 30 && expected(p, 200).length() > 100)
            .findFirst()
            .orElseThrow();
    ScriptedModel model = new ScriptedModel(2, 8);
    model.gate = new CountDownLatch(1);
    long limit = allocator.getLimit();
    Iterator<Request<String>> source =
        Stream.of(prompt, "abc")
            .map(
                it -> {
                  if (it.equals("abc")) {
                    allocator.setLimit(allocator.getAllocatedMemory());
                    model.gate.countDown();
                    return rejected(it);
                  }
                  return request(it, 200);
                })
            .iterator();
    try (Engine engine = engine(model)) {
      try (var results = engine.complete(source)) {
        assertEquals("abc", results.next().row());
        var failed = (Completion.Failed<String>) results.next();
        assertEquals(prompt, failed.row());
        assertEquals("out-of-memory", failed.error().errorClass());
        assertTrue(failed.error().retryable());
        assertFalse(results.hasNext());
      }
      allocator.setLimit(limit);
      assertEquals(expected(prompt, 200), only(engine, request(prompt, 200)).text());
    }
  }

  private static Request<String> rejected(String row) {
    return new Request.Rejected<>(row, new RowError("null-prompt", "none", false));
  }

  @Test
  void aModelThatThrowsFailsEveryCallerWithTheCause() {
    ScriptedModel model = new ScriptedModel(2, 8);
    model.failAtStep = 3;
    try (Engine engine = engine(model);
        var results =
            engine.complete(IntStream.range(0, 9).mapToObj(i -> request("abc", 50)).iterator())) {
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> results.forEachRemaining(row -> {}));
      assertEquals("scripted failure", e.getCause().getMessage());
      assertTrue(engine.failed());
      assertThrows(
          IllegalStateException.class,
          () -> engine.complete(List.<Request<String>>of().iterator()));
    }
  }

  @Test
  void anInterruptedCallerLeavesAndTheEngineGoesOn() throws Exception {
    ScriptedModel model = new ScriptedModel(2, 8);
    model.gate = new CountDownLatch(1);
    try (Engine engine = engine(model)) {
      Thread caller =
          new Thread(
              () -> {
                try (var results = engine.complete(List.of(request("abc", 5)).iterator())) {
                  assertThrows(CancellationException.class, results::hasNext);
                  assertTrue(Thread.interrupted());
                }
              });
      AtomicInteger unexpected = new AtomicInteger();
      caller.setUncaughtExceptionHandler((thread, e) -> unexpected.incrementAndGet());
      caller.start();
      while (caller.getState() != Thread.State.WAITING) {
        Thread.onSpinWait();
      }
      caller.interrupt();
      caller.join();
      assertEquals(0, unexpected.get());
      model.gate.countDown();
      assertEquals(expected("xyw", 5), only(engine, request("xyw", 5)).text());
    }
  }
}
