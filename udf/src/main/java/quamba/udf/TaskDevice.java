package quamba.udf;

import java.util.Map;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;

/** Which device a task computes on. */
final class TaskDevice {
  private TaskDevice() {}

  /** {@code cpu}, or the GPU that Spark gave to this task. */
  static String of(String device, TaskContext context) {
    if (!device.equals("cuda")) {
      return device;
    }
    Map<String, ResourceInformation> resources = context.resourcesJMap();
    if (!resources.containsKey("gpu")) {
      throw new IllegalStateException(
          "--device cuda, but Spark gave this task no GPU: set spark.executor.resource.gpu.amount,"
              + " spark.executor.resource.gpu.discoveryScript and spark.task.resource.gpu.amount");
    }
    return device + ":" + resources.get("gpu").addresses()[0];
  }
}
