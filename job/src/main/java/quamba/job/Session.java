package quamba.job;

import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import quamba.udf.Backends;
import quamba.udf.ModelPlugin;

/**
 * A Spark session with the settings that a job's meaning rests on. Where there is a session already
 * (a notebook, a test), its context is shared and stays; else one is started as {@code spark.*}
 * settings say, and stopped at the end.
 */
record Session(SparkSession spark, boolean started) implements AutoCloseable {
  private static final String PLUGINS = "spark.plugins";
  private static final String TIME_ZONE = "spark.sql.session.timeZone";
  private static final String CORES = "spark.executor.cores";
  private static final String GPUS = "spark.task.resource.gpu.amount";

  static Session open() {
    boolean there = SparkSession.getDefaultSession().isDefined();
    if (!there && !new SparkConf().contains("spark.master")) {
      throw new IllegalArgumentException(
          "spark.master is not set: start through spark-submit or submit.sh, with a profile");
    }
    requireNoGpusInLocalMode(new SparkConf());
    requireCores(new SparkConf());
    SparkSession base = builder().getOrCreate();
    String plugins = base.sparkContext().conf().get(PLUGINS, "");
    if (!plugins.contains(ModelPlugin.class.getName())) {
      throw new IllegalArgumentException(
          PLUGINS + " must name " + ModelPlugin.class.getName() + ", found '" + plugins + "'");
    }
    SparkSession spark = base.newSession();
    // Columns that differ in case only are two columns.
    spark.conf().set("spark.sql.caseSensitive", "true");
    // A time in a template or a key reads the same on every machine.
    if (!base.sparkContext().conf().contains(TIME_ZONE)) {
      spark.conf().set(TIME_ZONE, "UTC");
    }
    // Dates before 1582 and beyond 9999 pass through the row function unchanged.
    spark.conf().set("spark.sql.datetime.java8API.enabled", "true");
    spark.conf().set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS");
    // A column of files whose rows say 1, 1.0 and "1" keeps what each of them said.
    spark.conf().set("spark.sql.json.enableExactStringParsing", "true");
    // Few keys that come twice make few partitions, also where they are kept for a second use.
    spark.conf().set("spark.sql.optimizer.canChangeCachedPlanOutputPartitioning", "true");
    return new Session(spark, !there);
  }

  private static SparkSession.Builder builder() {
    String plugin = ModelPlugin.class.getName();
    String named = new SparkConf().get(PLUGINS, "");
    return SparkSession.builder()
        .config(PLUGINS, named.isEmpty() || named.equals(plugin) ? plugin : named + "," + plugin);
  }

  JavaSparkContext context() {
    return new JavaSparkContext(spark.sparkContext());
  }

  /** Spark itself would fail in terms that name neither the setting nor the mode. */
  private static void requireNoGpusInLocalMode(SparkConf conf) {
    String master = conf.get("spark.master", "");
    boolean local = master.equals("local") || master.startsWith("local[");
    if (local && conf.contains(GPUS)) {
      throw new IllegalArgumentException(
          GPUS + ": with the master " + master + " Spark hands out no GPUs: leave it out");
    }
  }

  /** An executor of a standalone cluster takes all cores of its host then, and is not told. */
  private static void requireCores(SparkConf conf) {
    String master = conf.get("spark.master", "");
    if (master.startsWith("spark://") && !conf.contains(CORES)) {
      throw new IllegalArgumentException(
          CORES + ": with the master " + master + " expected a number, found none");
    }
  }

  /**
   * Asked for a GPU that Spark does not hand out, or that this machine lacks in local mode, every
   * task would fail in its turn.
   */
  void requireDevice(String device) {
    if (device.equals("cuda") && spark.sparkContext().isLocal()) {
      Backends.require(device);
    } else if (device.equals("cuda") && !spark.sparkContext().conf().contains(GPUS)) {
      throw new IllegalArgumentException(
          "--device cuda: expected a profile that gives GPUs to tasks, found no " + GPUS);
    }
  }

  @Override
  public void close() {
    if (started) {
      spark.stop();
    }
  }
}
