package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

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
}
