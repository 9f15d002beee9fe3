package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;

/** Behaviour of recorded operations: as if they were called one by one. */
interface RecordContract {
  Probe probe();

  /** A norm adds to its residual and so shows how often it ran, and on what. */
  @Test
  default void recordedOperationsRunOnWhatTheirTensorsThenHold() {
    Backend backend = probe().backend();
    Tensor x = probe().zeros(2, 5);
    Tensor residual = probe().zeros(2, 5);
    Tensor normed = probe().zeros(2, 5);
    Tensor out = probe().zeros(2, 3);
    Norm norm = new Norm(probe().floats(Probe.random(1, 5), 5), 1e-5f);
    Linear linear = new Linear(probe().packed(Probe.random(2, 15), 3, 5));
    Runnable operations =
        () -> {
          backend.norm(norm, x, residual, normed);
          backend.linear(linear, normed, out);
        };
    float[][] inputs = {Probe.random(3, 10), Probe.random(4, 10), Probe.random(5, 10)};
    float[][] expected = new float[inputs.length][];
    for (int run = 0; run < inputs.length; run++) {
      write(x, inputs[run]);
      operations.run();
      expected[run] = probe().floats(out);
    }
    write(residual, new float[10]);
    write(out, new float[6]);
    try (Recording recording = backend.record(operations)) {
      assertArrayEquals(new float[6], probe().floats(out), "recording runs nothing");
      for (int run = 0; run < inputs.length; run++) {
        write(x, inputs[run]);
        recording.run();
        assertArrayEquals(expected[run], probe().floats(out));
      }
    }
  }

  /** After a failure nothing is being recorded any more. */
  @Test
  default void whatFailsWhileItIsRecordedLeavesTheBackendUsable() {
    Backend backend = probe().backend();
    Tensor x = probe().floats(Probe.random(1, 4), 1, 4);
    IllegalStateException failure = new IllegalStateException("on purpose");
    Runnable failing =
        () -> {
          backend.rotate(x, x);
          throw failure;
        };
    assertSame(
        failure,
        assertThrows(
            IllegalStateException.class,
            () -> {
              try (Recording recording = backend.record(failing)) {
                recording.run();
              }
            }));
    Tensor y = probe().zeros(1, 4);
    backend.rotate(x, y);
    backend.rotate(y, y);
    assertArrayEquals(probe().floats(x), probe().floats(y), 1e-6f);
  }

  private void write(Tensor tensor, float[] values) {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES);
    bytes.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(values);
    probe().backend().write(tensor, bytes);
  }
}
