package quamba.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Backend;
import quamba.kernels.BackendUnavailableException;
import quamba.kernels.CheckedBackend;
import quamba.kernels.cpu.CpuBackend;

class BackendsTest {
  @Test
  void cpuIsChecked() {
    try (Backend backend = Backends.open("cpu", 1)) {
      assertInstanceOf(CheckedBackend.class, backend);
    }
  }

  @Test
  void missingDeviceIsNeverReplaced() {
    // No machine has a device of this number.
    Exception opened =
        assertThrows(BackendUnavailableException.class, () -> Backends.open("cuda:9999", 1));
    assertTrue(opened.getMessage().startsWith("cuda:9999: no CUDA device"), opened.getMessage());
    Exception required =
        assertThrows(IllegalArgumentException.class, () -> Backends.require("cuda:9999"));
    assertTrue(required.getMessage().startsWith("--device cuda:9999: no CUDA device"));
  }

  /** As a device does whose norm is a kernel for another one. */
  @Test
  void aBackendThatAnswersWrongIsClosed() {
    AtomicInteger closed = new AtomicInteger();
    Backend cpu = CpuBackend.open(1);
    Backend wrong =
        (Backend)
            Proxy.newProxyInstance(
                Backend.class.getClassLoader(),
                new Class<?>[] {Backend.class},
                (proxy, method, arguments) -> {
                  if (method.getName().equals("close")) {
                    closed.incrementAndGet();
                  }
                  return method.getName().equals("norm") ? null : method.invoke(cpu, arguments);
                });
    Exception e = assertThrows(BackendUnavailableException.class, () -> Backends.known(wrong));
    assertTrue(e.getMessage().startsWith("known answers: norm: expected "), e.getMessage());
    assertEquals(1, closed.get());
  }

  @ParameterizedTest
  @ValueSource(strings = {"tpu", "cuda:", "cuda:-1", "cuda:GPU-0", "CPU", ""})
  void unknownDeviceIsRefused(String device) {
    assertThrows(IllegalArgumentException.class, () -> Backends.open(device, 1));
  }
}
