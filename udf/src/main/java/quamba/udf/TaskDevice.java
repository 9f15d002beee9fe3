package quamba.udf;

import java.util.Map;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;

/** Which device a task computes on. */
final class TaskDevice {
  /** The executor that the driver is in local mode. */
  private static final String DRIVER = "driver";

  private TaskDevice() {}

  /** {@code cpu}, or the GPU that Spark gave to this task; in local mode, the first GPU. */
  static String of(String device, TaskContext context) {
    boolean local = SparkEnv.get().executorId().equals(DRIVER);
    return of(device, context.resourcesJMap(), local);
  }

  /**
   * The same of what Spark says.
   *
   * @param local whether tasks run in the driver's process, where Spark has no GPUs to hand out
   */
  static String of(String device, Map<String, ResourceInformation> resources, boolean local) {
    if (!device.equals("cuda")) {
      return device;
    }
    if (resources.containsKey("gpu")) {
      return device + ":" + resources.get("gpu").addresses()[0];
    }
    if (local) {
      return Backends.FIRST_GPU;
    }
    throw new IllegalStateException(
        "--device cuda, but Spark gave this task no GPU: set spark.executor.resource.gpu.amount,"
            + " spark.executor.resource.gpu.discoveryScript and spark.task.resource.gpu.amount");
  }
}
