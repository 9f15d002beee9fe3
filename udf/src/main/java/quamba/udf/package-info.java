/**
 * What Spark sends to executors and what runs there: the function over a partition's rows, the
 * weights, the models of this JVM. Entries: {@link quamba.udf.GeneratePartition} and {@link
 * quamba.udf.PartitionTask}, the one record that crosses. Of all packages below, only this one
 * knows Spark.
 */
package quamba.udf;
