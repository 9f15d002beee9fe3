package quamba.udf.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

class TokenizerThreadsTest {
  private static final int THREADS = 16;

  /** Runs a task on many threads that start together; the results, in no order. */
  private static <T> List<T> onManyThreads(Callable<T> task, Runnable meanwhile)
      throws InterruptedException, ExecutionException {
    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    try {
      CountDownLatch start = new CountDownLatch(1);
      List<Future<T>> running = new ArrayList<>();
      for (int thread = 0; thread < THREADS; thread++) {
        running.add(
            threads.submit(
                () -> {
                  start.await();
                  return task.call();
                }));
      }
      start.countDown();
      meanwhile.run();
      List<T> results = new ArrayList<>();
      for (Future<T> result : running) {
        results.add(result.get());
      }
      return results;
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void manyThreadsGetTheIdsAndTextsOfOne() throws Exception {
    List<Goldens.Case> cases = Goldens.GPT_NEOX_20B.cases();
    try (HuggingFaceTokenizer tokenizer = Goldens.GPT_NEOX_20B.open()) {
      onManyThreads(
          () -> {
            for (int round = 0; round < 20; round++) {
              for (Goldens.Case golden : cases) {
                assertArrayEquals(golden.idArray(), tokenizer.encode(golden.text()));
                assertEquals(golden.decoded(), tokenizer.decode(golden.idArray()));
              }
            }
            return THREADS;
          },
          () -> {});
    }
  }

  @RepeatedTest(5)
  void closingWaitsForThoseInsideAndRefusesThoseWhoCome() throws Exception {
    HuggingFaceTokenizer tokenizer = open();
    String text = "the hat on the hen ".repeat(500);
    int[] ids = tokenizer.encode(text);
    List<Integer> done =
        onManyThreads(
            () -> {
              int rounds = 0;
              try {
                while (true) {
                  assertArrayEquals(ids, tokenizer.encode(text));
                  assertEquals(text, tokenizer.decode(ids));
                  rounds++;
                }
              } catch (IllegalStateException closed) {
                return rounds;
              }
            },
            tokenizer::close);
    assertEquals(THREADS, done.size());
  }

  @Test
  void tokenizersOpenOnManyThreadsAtOnce() throws Exception {
    List<Integer> sizes =
        onManyThreads(
            () -> {
              try (HuggingFaceTokenizer tokenizer = open()) {
                return tokenizer.encode("the hat").length;
              }
            },
            () -> {});
    assertTrue(sizes.stream().allMatch(sizes.get(0)::equals), sizes.toString());
  }

  private static HuggingFaceTokenizer open() throws IOException {
    return HuggingFaceTokenizer.open(SmallTokenizers.byteLevel());
  }
}
