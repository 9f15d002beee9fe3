package quamba.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class CpuThreadsTest {
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 8})
  void everyPartRunsOnceAndNoThreadRunsTwoAtATime(int count) {
    try (CpuThreads threads = new CpuThreads(count)) {
      for (int parts = 0; parts < 200; parts++) {
        AtomicIntegerArray runs = new AtomicIntegerArray(parts);
        AtomicIntegerArray busy = new AtomicIntegerArray(count);
        threads.run(
            parts,
            (part, thread) -> {
              assertEquals(1, busy.incrementAndGet(thread));
              runs.incrementAndGet(part);
              busy.decrementAndGet(thread);
            });
        for (int part = 0; part < parts; part++) {
          assertEquals(1, runs.get(part), "part " + part + " of " + parts);
        }
      }
    }
  }

  @Test
  void parkedThreadsWakeForTheNextOperation() {
    try (CpuThreads threads = new CpuThreads(3)) {
      AtomicInteger sum = new AtomicInteger();
      for (int round = 0; round < 20; round++) {
        LockSupport.parkNanos(5_000_000); // long enough for the helpers to park
        threads.run(50, (part, thread) -> sum.addAndGet(part));
      }
      assertEquals(20 * 49 * 25, sum.get());
    }
  }

  @Test
  void aFailureInAnyThreadReachesTheCallerAndTheTeamGoesOn() {
    try (CpuThreads threads = new CpuThreads(3)) {
      for (int bad = 0; bad < 30; bad++) {
        int failing = bad;
        IllegalStateException failure = new IllegalStateException("part " + bad);
        IllegalStateException thrown =
            assertThrows(
                IllegalStateException.class,
                () ->
                    threads.run(
                        30,
                        (part, thread) -> {
                          if (part == failing) {
                            throw failure;
                          }
                        }));
        assertSame(failure, thrown);
      }
      AtomicInteger runs = new AtomicInteger();
      threads.run(10, (part, thread) -> runs.incrementAndGet());
      assertEquals(10, runs.get());
    }
  }

  @Test
  void closeEndsTheThreadsAndRefusesWork() {
    CpuThreads threads = new CpuThreads(3);
    Thread[] helpers = new Thread[3];
    threads.run(
        300,
        (part, thread) -> {
          helpers[thread] = Thread.currentThread();
          LockSupport.parkNanos(100_000);
        });
    threads.close();
    threads.close();
    for (Thread helper : helpers) {
      assertTrue(helper == null || helper == Thread.currentThread() || !helper.isAlive());
    }
    assertThrows(IllegalStateException.class, () -> threads.run(1, (part, thread) -> {}));
  }

  @Test
  void anInterruptOfTheCallerIsKept() {
    try (CpuThreads threads = new CpuThreads(2)) {
      Thread.currentThread().interrupt();
      threads.run(4, (part, thread) -> {});
      assertTrue(Thread.interrupted());
      assertFalse(Thread.interrupted());
    }
  }

  @Test
  void atLeastOneThreadIsNeeded() {
    assertThrows(IllegalArgumentException.class, () -> new CpuThreads(0));
  }
}
