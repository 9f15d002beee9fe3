package quamba.udf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class PaceTest {
  private final Pace pace = new Pace();

  private static Engine.Load load(long promptTokens, long generatedTokens) {
    return new Engine.Load(0, 0, promptTokens, generatedTokens);
  }

  @Test
  void fromTheFirstFullStepToTheLastEachStretchOnce() {
    assertEquals(new Engine.Full(0, 0, 0, 0), pace.take());
    long start = System.nanoTime();
    pace.full(start, load(100, 1), load(110, 2));
    pace.full(start, load(130, 5), load(140, 9)); // the tokens between count too
    Engine.Full full = pace.take();
    assertEquals(40, full.promptTokens());
    assertEquals(8, full.generatedTokens());
    assertTrue(full.nanos() >= 0 && full.nanos() <= System.nanoTime() - start);
    assertTrue(full.endMillis() > 0);
    assertEquals(new Engine.Full(0, 0, 0, full.endMillis()), pace.take());
  }

  @Test
  void whatHappensWithNobodyThereDoesNotCount() {
    pace.full(System.nanoTime(), load(0, 0), load(0, 7));
    pace.take();
    pace.interrupt();
    assertEquals(new Engine.Full(0, 0, 0, 0), pace.take());
    pace.full(System.nanoTime(), load(50, 50), load(50, 51));
    assertEquals(1, pace.take().generatedTokens());
  }
}
