package quamba.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.apache.spark.resource.ResourceInformation;
import org.junit.jupiter.api.Test;

class TaskDeviceTest {
  private static final Map<String, ResourceInformation> THIRD =
      Map.of("gpu", new ResourceInformation("gpu", new String[] {"2"}));

  @Test
  void theGpuThatSparkGaveOrTheFirstWhereItCannot() {
    assertEquals("cuda:2", TaskDevice.of("cuda", THIRD, false));
    assertEquals("cuda:2", TaskDevice.of("cuda", THIRD, true));
    assertEquals("cuda:0", TaskDevice.of("cuda", Map.of(), true));
    assertEquals("cpu", TaskDevice.of("cpu", THIRD, false));
  }

  @Test
  void anExecutorWithoutGpusIsRefused() {
    Exception refusal =
        assertThrows(IllegalStateException.class, () -> TaskDevice.of("cuda", Map.of(), false));
    assertTrue(refusal.getMessage().contains("spark.task.resource.gpu.amount"));
  }
}
