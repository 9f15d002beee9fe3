package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import quamba.udf.Speed;

class OutcomeTest {
  @Test
  void speedInWords() {
    assertEquals(
        "speed: first token 2.5 s, slots all taken 4.0 s: 100.0 prompt and 50.0 generated tokens a"
            + " second of an engine, tail 1.5 s",
        Outcome.speedLine(
            10_000, 19_000, new Speed(12_500, 17_500, new Speed.Full(4_000_000_000L, 400, 200))));
    assertEquals(
        "speed: first token 0.1 s, slots never all taken",
        Outcome.speedLine(10_000, 19_000, new Speed(10_100, 0, new Speed.Full(0, 0, 0))));
  }
}
