package quamba.udf;

import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import quamba.kernels.Backend;
import quamba.kernels.BackendUnavailableException;
import quamba.kernels.CheckedBackend;

class BackendsTest {
  @Test
  void cpuIsChecked() {
    try (Backend backend = Backends.open("cpu", 1)) {
      assertInstanceOf(CheckedBackend.class, backend);
    }
  }

  @Test
  void missingDeviceIsNeverReplaced() {
    assertThrows(BackendUnavailableException.class, () -> Backends.open("cuda", 1));
  }

  @Test
  void unknownDeviceIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> Backends.open("tpu", 1));
  }
}
