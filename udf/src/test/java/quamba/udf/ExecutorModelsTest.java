package quamba.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.arrow.memory.BufferAllocator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.udf.engine.Engine;
import quamba.udf.model.Model;
import quamba.udf.model.Sampling;
import quamba.udf.model.Step;
import quamba.udf.tokenizer.Tokenizer;

@Timeout(60)
class ExecutorModelsTest {
  /** A model that is never asked anything. */
  private static final class IdleModel implements Model {
    private final String name;
    private final List<String> events;

    IdleModel(String name, List<String> events) {
      this.name = name;
      this.events = events;
      events.add("open " + name);
    }

    @Override
    public int slots() {
      return 1;
    }

    @Override
    public int tokensPerStep() {
      return 1;
    }

    @Override
    public int vocab() {
      return 1;
    }

    @Override
    public void start(int slot, Sampling sampling, long key) {}

    @Override
    public void begin(Step step) {}

    @Override
    public boolean isDone() {
      return true;
    }

    @Override
    public void await(Step step) {}

    @Override
    public void close() {
      events.add("close " + name);
    }
  }

  /** A tokenizer that is never asked anything. */
  private static final class NoTokenizer implements Tokenizer {
    @Override
    public int[] encode(String text) {
      throw new UnsupportedOperationException();
    }

    @Override
    public String decode(int[] ids) {
      throw new UnsupportedOperationException();
    }

    @Override
    public int vocabulary() {
      return 1;
    }

    @Override
    public OptionalInt idOf(String token) {
      return OptionalInt.empty();
    }

    @Override
    public TextStream stream() {
      throw new UnsupportedOperationException();
    }

    @Override
    public void close() {}
  }

  private final List<String> events = Collections.synchronizedList(new ArrayList<>());
  private final CountDownLatch gate = new CountDownLatch(1);
  private final ExecutorModels models = new ExecutorModels(1);
  private final ExecutorService tasks = Executors.newCachedThreadPool();
  private volatile Throwable failure;

  private OpenModel open(String name, BufferAllocator memory) {
    await(gate);
    if (failure != null) {
      fail(failure);
    }
    Model model = new IdleModel(name, events);
    Tokenizer tokenizer = new NoTokenizer();
    OptionalInt none = OptionalInt.empty();
    return new OpenModel(new Engine(model, tokenizer, none, memory), tokenizer, none, memory);
  }

  @SuppressWarnings("unchecked")
  private static <E extends Throwable> void fail(Throwable failure) throws E {
    throw (E) failure;
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private ExecutorModels.Lease<OpenModel> lease(String name) {
    return models.lease(
        new ExecutorModels.Key<>(OpenModel.class, name, "cpu"),
        (threads, memory) -> open(name, memory));
  }

  @AfterEach
  void stop() {
    tasks.shutdownNow();
  }

  @Test
  void tasksShareAModelAndItStaysOpenBetweenThem() throws Exception {
    Future<ExecutorModels.Lease<OpenModel>> first = tasks.submit(() -> lease("a1"));
    Future<ExecutorModels.Lease<OpenModel>> second = tasks.submit(() -> lease("a1"));
    gate.countDown();
    assertSame(first.get().model(), second.get().model());
    assertTrue(first.get().openMillis().isPresent() != second.get().openMillis().isPresent());
    first.get().close();
    second.get().close();
    second.get().close();
    try (ExecutorModels.Lease<OpenModel> third = lease("a1")) {
      assertSame(first.get().model(), third.model());
      assertTrue(third.openMillis().isEmpty());
    }
    models.close();
    assertEquals(List.of("open a1", "close a1"), events);
  }

  @Test
  void anotherModelTakesThePlaceOfAnIdleOne() {
    gate.countDown();
    lease("a1").close();
    ExecutorModels.Lease<OpenModel> used = lease("a2");
    lease("b1").close();
    assertEquals(List.of("open a1", "close a1", "open a2", "open b1"), events);
    used.close();
    models.close();
    assertThrows(IllegalStateException.class, () -> lease("a1"));
  }

  /** Also what Scala throws undeclared, such as a part of the model that cannot be fetched. */
  @ParameterizedTest
  @ValueSource(
      classes = {IllegalArgumentException.class, IOException.class, OutOfMemoryError.class})
  void failureReachesAllWhoWaitAndIsNotKept(Class<? extends Throwable> kind) throws Exception {
    failure = kind.getConstructor(String.class).newInstance("no room");
    List<Future<ExecutorModels.Lease<OpenModel>>> waiting = new ArrayList<>();
    for (int task = 0; task < 3; task++) {
      waiting.add(tasks.submit(() -> lease("a1")));
    }
    gate.countDown();
    for (Future<ExecutorModels.Lease<OpenModel>> lease : waiting) {
      Exception thrown = assertThrows(Exception.class, lease::get);
      Throwable cause = thrown.getCause();
      assertSame(failure, cause instanceof IllegalStateException ? cause.getCause() : cause);
    }
    failure = null;
    lease("a1").close();
    models.close();
    assertEquals(List.of("open a1", "close a1"), events);
  }
}
