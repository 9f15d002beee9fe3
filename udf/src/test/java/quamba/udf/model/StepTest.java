package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.IntBuffer;
import org.junit.jupiter.api.Test;

class StepTest {
  private static IntBuffer ids(int count) {
    return IntBuffer.wrap(new int[count]);
  }

  /** Only those before the first longer row: token r is row r's. */
  @Test
  void singleRowsEndWithTheFirstLongerOne() {
    Step step = Step.allocate(4, 9);
    assertEquals(0, step.singleRows());
    step.addSampled(0, 5, ids(1));
    step.addSampled(3, 7, ids(1));
    assertEquals(2, step.singleRows());
    step.addSampled(1, 0, ids(4));
    step.addPartial(2, 0, ids(1));
    assertEquals(2, step.singleRows());
    step.clear();
    step.addSampled(0, 0, ids(2));
    step.addSampled(1, 6, ids(1));
    assertEquals(0, step.singleRows());
  }

  @Test
  void oneTokenIsAddedAsABufferOfOneIs() {
    Step one = Step.allocate(3, 3);
    one.addSampled(2, 40, 7);
    one.addSampled(0, 3, 9);
    Step buffers = Step.allocate(3, 3);
    buffers.addSampled(2, 40, IntBuffer.wrap(new int[] {7}));
    buffers.addSampled(0, 3, IntBuffer.wrap(new int[] {9}));
    assertEquals(buffers.ids(), one.ids());
    assertEquals(buffers.slots(), one.slots());
    assertEquals(buffers.starts(), one.starts());
    assertEquals(buffers.positions(), one.positions());
    assertEquals(2, one.sampledRows());
    assertEquals(2, one.singleRows());
    one.addPartial(1, 0, ids(1));
    assertThrows(IllegalStateException.class, () -> one.addSampled(1, 0, 5));
    assertThrows(IllegalArgumentException.class, () -> buffers.addSampled(1, 0, ids(2)));
  }
}
