package quamba.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.apache.spark.SparkConf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelPluginTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "local                   |   | 1",
        "local[3]                |   | 3",
        "local[5,2]              |   | 5",
        "local[3]                | 2 | 3",
        "local-cluster[2,4,1024] |   | 4",
        "spark://host:7077       | 6 | 6",
        "yarn                    |   | 1",
      })
  void asManyThreadsAsTheExecutorHasCores(String master, String cores, int threads) {
    SparkConf conf = new SparkConf(false).set("spark.master", master);
    if (cores != null) {
      conf.set("spark.executor.cores", cores);
    }
    assertEquals(threads, ModelPlugin.cores(conf));
  }
}
