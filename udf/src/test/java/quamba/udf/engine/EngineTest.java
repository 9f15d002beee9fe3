package quamba.udf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class EngineTest extends EngineContext {
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
}
