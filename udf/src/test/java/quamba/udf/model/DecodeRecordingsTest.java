package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import quamba.kernels.Backend;
import quamba.kernels.Recording;

class DecodeRecordingsTest {
  private final List<String> calls = new ArrayList<>();
  private final Backend backend =
      (Backend)
          Proxy.newProxyInstance(
              Backend.class.getClassLoader(),
              new Class<?>[] {Backend.class},
              (proxy, method, arguments) -> record(method.getName()));

  private Recording record(String method) {
    String name = method + " " + calls.stream().filter(call -> call.startsWith("record")).count();
    calls.add(name);
    return new Recording() {
      @Override
      public void run() {
        calls.add("run of " + name);
      }

      @Override
      public void close() {
        calls.add("close of " + name);
      }
    };
  }

  private void run(DecodeRecordings recordings, int rows) {
    recordings.run(rows, () -> calls.add("rows " + rows));
  }

  @Test
  void aStepIsRecordedWhenTheOneBeforeHadAsManyRows() {
    try (DecodeRecordings recordings = new DecodeRecordings(backend)) {
      for (int rows : new int[] {4, 3, 4, 4, 4, 3, 4}) {
        run(recordings, rows);
      }
    }
    List<String> expected =
        List.of(
            "rows 4",
            "rows 3",
            "rows 4",
            "record 0",
            "run of record 0",
            "run of record 0",
            "rows 3",
            "run of record 0",
            "close of record 0");
    assertEquals(expected, calls);
  }

  @Test
  void theOneUsedLongestAgoIsForgottenFirst() {
    DecodeRecordings recordings = new DecodeRecordings(backend);
    for (int rows = 1; rows <= 8; rows++) {
      run(recordings, rows);
      run(recordings, rows);
    }
    run(recordings, 1);
    run(recordings, 9);
    calls.clear();
    run(recordings, 9);
    assertEquals(List.of("close of record 1", "record 0", "run of record 0"), calls);
  }
}
