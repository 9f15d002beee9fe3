package quamba.job;

import java.io.EOFException;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.ZipException;
import org.apache.spark.SparkThrowable;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * An input, read: whatever its names are, the columns of {@link #rows} are called {@code c0},
 * {@code c1} and so on, because names may hold dots, quotes or nothing at all; behind them comes
 * {@link #SOURCE}.
 *
 * @param columns the input's columns by their true names
 * @param rows columns and a {@link quamba.udf.SourceRow}
 * @param count number of the rows
 * @param partitions of the rows as they are read
 */
record InputRows(StructType columns, Dataset<Row> rows, long count, int partitions) {
  /** The column of what the reader says of each row. */
  static final String SOURCE = "source";

  /** The column number {@code index}. */
  static String column(int index) {
    return "c" + index;
  }

  /**
   * Looks through an input; its rows are read again when they are used.
   *
   * @throws IllegalArgumentException if it is not what it must be
   */
  static InputRows read(Session session, JobConfig.Input input) throws Exception {
    try {
      return switch (input.format()) {
        case PARQUET -> Tables.parquet(session, input);
        case CSV -> Tables.csv(session, input);
        case JSON -> JsonLines.read(session, input);
      };
    } catch (Exception e) {
      for (Throwable cause = e; cause != null; cause = cause.getCause()) {
        if (cause != e && isDamage(cause)) {
          String reason = String.valueOf(cause.getMessage()).replaceAll("\\s+", " ");
          throw new IllegalArgumentException("--input: cannot be read: " + reason, e);
        }
      }
      throw e;
    }
  }

  /** Whether a task failed because of what is in a file: truncated, no Parquet, another header. */
  private static boolean isDamage(Throwable cause) {
    return cause instanceof EOFException
        || cause instanceof ZipException
        || cause instanceof IllegalArgumentException
        || (cause instanceof SparkThrowable spark
            && spark.getCondition() != null
            && spark.getCondition().startsWith("FAILED_READ_FILE"));
  }

  /** Of files without any row, all that is known of columns is that the job names some. */
  static StructType unknownColumns(JobConfig.Input input) {
    return new StructType(
        Stream.concat(input.prompting().columns().stream(), input.key().stream())
            .distinct()
            .map(name -> DataTypes.createStructField(name, DataTypes.StringType, true))
            .toArray(StructField[]::new));
  }

  /** Index of a column by its true name. */
  static int index(StructType columns, String flag, String name) {
    int index = List.of(columns.fieldNames()).indexOf(name);
    if (index < 0) {
      throw new IllegalArgumentException(
          "%s: the input has no column '%s'; it has: %s"
              .formatted(flag, name, String.join(", ", columns.fieldNames())));
    }
    return index;
  }
}
