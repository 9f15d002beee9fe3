package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.cpu.CpuBackend;

final class KnownAnswersTest {
  @Test
  void theCpuKnowsThem() {
    try (Backend backend = new CheckedBackend(CpuBackend.open(1))) {
      KnownAnswers.check(backend);
    }
  }

  /** An operation that does nothing, as a kernel that was compiled for another device may. */
  @ParameterizedTest
  @CsvSource({
    "begin, begin",
    "embed, embed",
    "norm, norm",
    "linear, linear of floats",
    "linears, linear of 8 bits",
    "conv, conv of F32",
    "scan, 'scan of F32, state F32'",
    "gate, gate of F32",
    "rotate, rotate",
    "gateRotate, gateRotate of F32",
    "sample, sample"
  })
  void anOperationThatDoesNothingIsNamed(String method, String named) {
    try (Backend backend = CpuBackend.open(1)) {
      Backend lazy =
          (Backend)
              Proxy.newProxyInstance(
                  Backend.class.getClassLoader(),
                  new Class<?>[] {Backend.class},
                  (proxy, called, arguments) -> {
                    if (called.getName().equals(method)) {
                      return null;
                    }
                    try {
                      return called.invoke(backend, arguments);
                    } catch (InvocationTargetException e) {
                      throw e.getCause();
                    }
                  });
      var e = assertThrows(BackendUnavailableException.class, () -> KnownAnswers.check(lazy));
      assertTrue(e.getMessage().startsWith("known answers: " + named), e.getMessage());
    }
  }
}
