package quamba.udf;

import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.SparkConf;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * Named in {@code spark.plugins}: gives every executor its {@link ExecutorModels} and closes them
 * when it ends. Models compute with as many threads as Spark gave cores to the executor.
 */
public final class ModelPlugin implements SparkPlugin {
  private static final Pattern LOCAL = Pattern.compile("local\\[([*\\d]+)(,.*)?]");
  private static final Pattern LOCAL_CLUSTER =
      Pattern.compile("local-cluster\\[\\s*\\d+\\s*,\\s*(\\d+)\\s*,.*]");

  @Override
  public DriverPlugin driverPlugin() {
    return null;
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return new ExecutorPlugin() {
      @Override
      public void init(PluginContext context, Map<String, String> extraConf) {
        int threads = cores(context.conf());
        ExecutorModels.start(
            new ExecutorModels(
                (weights, device, slots, memory) ->
                    OpenModel.open(weights, device, slots, threads, memory)));
      }

      @Override
      public void shutdown() {
        ExecutorModels.stop();
      }
    };
  }

  /**
   * Cores of this executor: of the master where that says it, else {@code spark.executor.cores}.
   */
  static int cores(SparkConf conf) {
    String master = conf.get("spark.master", "");
    if (master.equals("local")) {
      return 1;
    }
    Matcher local = LOCAL.matcher(master);
    if (local.matches()) {
      return local.group(1).equals("*")
          ? Runtime.getRuntime().availableProcessors()
          : Integer.parseInt(local.group(1));
    }
    Matcher cluster = LOCAL_CLUSTER.matcher(master);
    return conf.getInt(
        "spark.executor.cores", cluster.matches() ? Integer.parseInt(cluster.group(1)) : 1);
  }
}
