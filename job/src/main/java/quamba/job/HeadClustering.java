package quamba.job;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.ml.clustering.KMeans;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.ml.linalg.Vectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import quamba.udf.quantizer.Clustering;

/**
 * Spark's k-means. The points lie in one partition, so that the seed decides the result.
 *
 * @param seed of the first centres
 */
record HeadClustering(SparkSession spark, long seed) implements Clustering {
  private static final String POINT = "features";
  private static final StructType COLUMNS =
      new StructType().add("index", DataTypes.IntegerType).add(POINT, SQLDataTypes.VectorType());

  @Override
  public int[] labels(double[][] points, int clusters) {
    if (points.length <= clusters) {
      return IntStream.range(0, points.length).toArray();
    }
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < points.length; i++) {
      rows.add(RowFactory.create(i, Vectors.dense(points[i])));
    }
    Dataset<Row> table = spark.createDataFrame(rows, COLUMNS).coalesce(1);
    Dataset<Row> labelled =
        new KMeans().setK(clusters).setSeed(seed).setFeaturesCol(POINT).fit(table).transform(table);
    return labelled.orderBy("index").select("prediction").collectAsList().stream()
        .mapToInt(row -> row.getInt(0))
        .toArray();
  }
}
