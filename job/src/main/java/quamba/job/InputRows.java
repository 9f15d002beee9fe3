package quamba.job;

import java.io.EOFException;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
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
  /** Of what Spark throws, what the files are to blame for. */
  private static final List<String> DAMAGE =
      List.of("FAILED_READ_FILE", "CANNOT_MERGE_SCHEMAS", "CONFLICTING_");

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
  static InputRows read(Session session, JobConfig.Input input, InputFiles files) throws Exception {
    try {
      return switch (input.format()) {
        case PARQUET -> Tables.parquet(session, input, files);
        case CSV -> Tables.csv(session, input, files);
        case JSON -> JsonLines.read(session, input);
      };
    } catch (IllegalArgumentException e) {
      throw e;
    } catch (Exception e) {
      // Causes say more than what they are wrapped in.
      Optional<Throwable> damage =
          Stream.concat(
                  Stream.iterate(e.getCause(), Objects::nonNull, Throwable::getCause), Stream.of(e))
              .filter(InputRows::isDamage)
              .findFirst();
      if (damage.isPresent()) {
        String reason = String.valueOf(damage.get().getMessage()).replaceAll("\\s+", " ");
        throw new IllegalArgumentException("--input: cannot be read: " + reason, e);
      }
      throw e;
    }
  }

  /**
   * Whether the files cannot be read: truncated, no Parquet, of other headers, types or folders.
   */
  private static boolean isDamage(Throwable cause) {
    return cause instanceof EOFException
        || cause instanceof ZipException
        || cause instanceof IllegalArgumentException
        || (cause instanceof SparkThrowable spark
            && spark.getCondition() != null
            && DAMAGE.stream().anyMatch(spark.getCondition()::startsWith));
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
