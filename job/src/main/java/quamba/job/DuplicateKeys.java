package quamba.job;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.when;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;
import quamba.udf.SourceRow.Kind;
import quamba.udf.SourceRow.Problem;

/**
 * Rows whose key an earlier row has: the first by file and position runs, the others are errors.
 * Keys alone are grouped; rows meet only those keys that come twice, which Spark broadcasts where
 * they are few and joins by sorting where they are many.
 */
final class DuplicateKeys {
  private static final Column CELL = col(InputRows.SOURCE).getField("key");

  /** Null where the row has no key that could be anyone's. */
  private static final Column KEY =
      when(CELL.getField("kind").isin(Kind.TEXT.name(), Kind.SCALAR.name()), CELL.getField("text"));

  private static final Column PLACE =
      struct(
          col(InputRows.SOURCE).getField("file").as("file"),
          col(InputRows.SOURCE).getField("position").as("position"));

  private DuplicateKeys() {}

  static Dataset<Row> mark(Dataset<Row> rows) {
    Dataset<Row> twice =
        rows.select(KEY.as("key"), PLACE.as("place"))
            .where(col("key").isNotNull())
            .groupBy("key")
            .agg(min("place").as("first"), count(lit(1)).as("times"))
            .where(col("times").gt(1))
            .select("key", "first")
            .persist(StorageLevel.MEMORY_AND_DISK());
    if (twice.isEmpty()) {
      twice.unpersist();
      return rows;
    }
    Column source = col(InputRows.SOURCE);
    Column later = col("first").isNotNull().and(col("first").notEqual(PLACE));
    Column problem =
        coalesce(source.getField("problem"), when(later, lit(Problem.DUPLICATE_KEY.name())));
    return rows.join(twice, KEY.equalTo(twice.col("key")), "left_outer")
        .withColumn(InputRows.SOURCE, source.withField("problem", problem))
        .drop("key", "first");
  }
}
