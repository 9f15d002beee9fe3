package quamba.udf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Rows, callers, sources and models that fail, and what the others see of it. */
@Timeout(60)
class EngineFailureTest extends EngineContext {
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
                .map(prompt -> prompt.isEmpty() ? EngineFailureTest.fail(gone) : request(prompt, 5))
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
