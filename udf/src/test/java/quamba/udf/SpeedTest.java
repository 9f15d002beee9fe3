package quamba.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import quamba.udf.engine.Engine;

class SpeedTest {
  @Test
  void tasksAddUp() {
    Speed.Total total = new Speed.Total();
    assertTrue(total.isZero());
    total.add(Speed.of(0, new Engine.Full(0, 0, 0, 0))); // a task without a token
    assertTrue(total.isZero());
    total.add(Speed.of(700, new Engine.Full(2_000_000_000L, 10, 20, 900)));
    total.add(Speed.of(500, new Engine.Full(0, 0, 0, 0)));
    Speed.Total other = total.copy();
    other.reset();
    other.add(Speed.of(600, new Engine.Full(1_000_000_000L, 5, 1, 950)));
    total.merge(other);
    Speed.Full full = new Speed.Full(3_000_000_000L, 15, 21);
    assertEquals(new Speed(500, 950, full), total.value());
    assertFalse(total.isZero());
    assertEquals(7, full.rate(full.generatedTokens()));
    assertEquals(0, new Speed.Full(0, 0, 0).rate(3));
  }
}
