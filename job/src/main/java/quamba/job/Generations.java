package quamba.job;

import static org.apache.spark.sql.functions.col;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DatetimeType;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import quamba.udf.Counters;
import quamba.udf.GeneratePartition;
import quamba.udf.PartitionTask;

/** The plan of a job: an input's rows, and beside them what the partition function adds. */
record Generations(JobConfig config, PartitionTask task, Counters counters) {
  private static final String TEXT = "text";
  private static final String ERROR = "error";
  private static final String META = "meta";

  /** The rows of the output, under their true names. */
  Dataset<Row> of(InputRows input) {
    Dataset<Row> rows = spread(input, carried(input));
    StructType schema =
        rows.schema()
            .add(TEXT, DataTypes.StringType)
            .add(ERROR, GeneratePartition.ERROR)
            .add(META, GeneratePartition.META);
    Dataset<Row> generated =
        rows.mapPartitions(new GeneratePartition(task, counters), Encoders.row(schema));
    if (config.output().writing().sorted()) {
      generated = generated.sortWithinPartitions(order(input));
    }
    List<Column> selected = new ArrayList<>();
    List<String> names = new ArrayList<>();
    for (int i = 0; i < input.columns().length(); i++) {
      selected.add(col(InputRows.column(i)).cast(input.columns().apply(i).dataType()));
      names.add(input.columns().fieldNames()[i]);
    }
    selected.addAll(List.of(col(TEXT), col(ERROR), col(META)));
    names.addAll(config.output().columns());
    return generated.select(selected.toArray(new Column[0])).toDF(names.toArray(new String[0]));
  }

  /** Texts pass through the row function as bytes, so that not even invalid ones change. */
  private Dataset<Row> carried(InputRows input) {
    Dataset<Row> rows =
        config.input().key().isPresent() ? DuplicateKeys.mark(input.rows()) : input.rows();
    List<Column> selected = new ArrayList<>();
    for (int i = 0; i < input.columns().length(); i++) {
      String name = InputRows.column(i);
      selected.add(col(name).cast(opaque(input.columns().apply(i).dataType())).as(name));
    }
    selected.add(col(InputRows.SOURCE));
    return rows.select(selected.toArray(new Column[0]));
  }

  private static DataType opaque(DataType type) {
    if (type instanceof StringType) {
      return DataTypes.BinaryType;
    }
    if (type instanceof ArrayType array) {
      return new ArrayType(opaque(array.elementType()), array.containsNull());
    }
    if (type instanceof StructType struct) {
      StructType opaque = new StructType();
      for (StructField field : struct.fields()) {
        opaque = opaque.add(field.name(), opaque(field.dataType()), field.nullable());
      }
      return opaque;
    }
    return type;
  }

  /**
   * At least as many partitions as Spark would like. Sorting is by ranges of keys before the
   * generation and within each range after it, because sorting all of it afterwards would generate
   * twice: once to sample the ranges.
   */
  private Dataset<Row> spread(InputRows input, Dataset<Row> rows) {
    int wanted =
        Math.max(input.partitions(), rows.sparkSession().sparkContext().defaultParallelism());
    if (config.output().writing().sorted()) {
      return rows.repartitionByRange(wanted, order(input));
    }
    boolean asRead = config.input().key().isEmpty() && input.partitions() >= wanted;
    return asRead ? rows : rows.repartition(wanted);
  }

  /** Numbers and times in their order, other keys as texts. */
  private Column[] order(InputRows input) {
    Column source = col(InputRows.SOURCE);
    Column key = source.getField("key").getField("text");
    if (config.input().key().isPresent()) {
      int index = InputRows.index(input.columns(), "--key", config.input().key().get());
      DataType type = input.columns().apply(index).dataType();
      if (type instanceof NumericType || type instanceof DatetimeType) {
        key = col(InputRows.column(index));
      }
    }
    return new Column[] {key, source.getField("file"), source.getField("position")};
  }
}
