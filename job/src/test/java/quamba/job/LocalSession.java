package quamba.job;

import org.apache.spark.sql.SparkSession;
import quamba.udf.ModelPlugin;

/** Spark within the test's JVM, found by the commands that a test runs. */
record LocalSession(SparkSession spark) implements AutoCloseable {
  static LocalSession start(int threads) {
    return start(threads, "1g");
  }

  /**
   * Spark whose tasks send little to the driver.
   *
   * @param mostResults of all tasks of a stage, as Spark writes sizes
   */
  static LocalSession start(int threads, String mostResults) {
    return new LocalSession(
        SparkSession.builder()
            .config("spark.driver.maxResultSize", mostResults)
            .master("local[" + threads + "]")
            .config("spark.plugins", ModelPlugin.class.getName())
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "4")
            .config("spark.sql.warehouse.dir", "target/warehouse")
            .getOrCreate());
  }

  @Override
  public void close() {
    spark.stop();
  }
}
