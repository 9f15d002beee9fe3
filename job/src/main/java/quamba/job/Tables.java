package quamba.job;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.is_valid_utf8;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.not;
import static org.apache.spark.sql.functions.sha2;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.to_json;
import static org.apache.spark.sql.functions.when;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.BinaryType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructType;
import quamba.udf.PartitionTask.Template;
import quamba.udf.SourceRow;
import quamba.udf.SourceRow.Kind;
import quamba.udf.SourceRow.Problem;

/** Files that have columns of their own: Parquet, and CSV with a header. */
final class Tables {
  /** Spark would take a quoted empty text for the empty null value. No file has this. */
  private static final String NO_VALUE = "\u0000";

  /** Else folders within folders are left out, silently. */
  private static final String RECURSIVE = "recursiveFileLookup";

  /** Fields beyond which a row of CSV ends the job; the reader keeps room for so many. */
  private static final int MOST_COLUMNS = 1 << 20;

  private static final String FILE = "file";
  private static final String PROBLEM = "problem";
  private static final String POSITION = "position";

  private Tables() {}

  /** Files of one table may have other columns each: all of them are kept. */
  static InputRows parquet(Session session, JobConfig.Input input, InputFiles files) {
    Dataset<Row> table =
        session
            .spark()
            .read()
            .option("mergeSchema", "true")
            .option(RECURSIVE, !files.arePartitioned())
            .parquet(input.paths().toArray(new String[0]));
    files.requireAll(table.inputFiles());
    Column metadata = table.metadataColumn("_metadata");
    Dataset<Row> placed =
        table
            .select(
                col("*"),
                metadata.getField("file_path"),
                lit(null).cast(DataTypes.StringType),
                metadata.getField("row_index"))
            .toDF(names(table.schema()));
    return rows(table.schema(), placed, input, table.count());
  }

  /**
   * All columns are text. Within quotes lines may end, which reads as {@code \n} however the file
   * ends its lines, and quotes are doubled; a row with more or fewer fields than the header is an
   * error row.
   */
  static InputRows csv(Session session, JobConfig.Input input, InputFiles files) {
    String[] paths = input.paths().toArray(new String[0]);
    DataFrameReader reader =
        session
            .spark()
            .read()
            .option("header", "true")
            .option("maxColumns", MOST_COLUMNS)
            .option(RECURSIVE, !files.arePartitioned())
            .option("multiLine", "true")
            .option("quote", "\"")
            .option("escape", "\"")
            .option("nullValue", NO_VALUE)
            .option("enforceSchema", "false"); // files with other headers are refused
    StructType found = reader.csv(paths).schema();
    StructType columns = found.isEmpty() ? InputRows.unknownColumns(input) : found;
    String broken = "broken";
    while (List.of(columns.fieldNames()).contains(broken)) {
      broken = broken + "_";
    }
    Dataset<Row> table =
        reader
            .option("columnNameOfCorruptRecord", broken)
            .schema(columns.add(broken, DataTypes.StringType))
            .csv(paths);
    files.requireAll(table.inputFiles());
    List<Column> selected = new ArrayList<>();
    for (int i = 0; i < columns.length(); i++) {
      selected.add(table.apply(quoted(columns.fieldNames()[i])));
    }
    selected.add(table.metadataColumn("_metadata").getField("file_path"));
    selected.add(when(table.apply(broken).isNotNull(), Problem.MALFORMED_CSV.name()));
    selected.add(lit(0L));
    Dataset<Row> unplaced = table.select(selected.toArray(new Column[0])).toDF(names(columns));
    Dataset<Row> placed = unplaced.mapPartitions(new Positions(), Encoders.row(unplaced.schema()));
    return rows(columns, placed, input, table.count());
  }

  /** Counts the rows of each file: a file whose rows span lines is never split. */
  private static final class Positions implements MapPartitionsFunction<Row, Row> {
    private static final long serialVersionUID = 1L;

    @Override
    public Iterator<Row> call(Iterator<Row> rows) {
      return new Iterator<>() {
        private String file = "";
        private long position;

        @Override
        public boolean hasNext() {
          return rows.hasNext();
        }

        @Override
        public Row next() {
          Row row = rows.next();
          Object[] values = new Object[row.length()];
          for (int i = 0; i < values.length; i++) {
            values[i] = row.get(i);
          }
          String found = row.getAs(FILE);
          position = found.equals(file) ? position + 1 : 0;
          file = found;
          values[values.length - 1] = position;
          return RowFactory.create(values);
        }
      };
    }
  }

  private static String quoted(String name) {
    return "`" + name.replace("`", "``") + "`";
  }

  private static String[] names(StructType columns) {
    return Stream.concat(
            IntStream.range(0, columns.length()).mapToObj(InputRows::column),
            Stream.of(FILE, PROBLEM, POSITION))
        .toArray(String[]::new);
  }

  /** Packs what the reader knows of a row into a {@link SourceRow}. */
  private static InputRows rows(
      StructType columns, Dataset<Row> placed, JobConfig.Input input, long count) {
    boolean template = input.prompting() instanceof Template;
    String flag = template ? "--template" : "--prompt-column";
    List<Column> texts = new ArrayList<>();
    for (String name : input.prompting().columns()) {
      int index = InputRows.index(columns, flag, name);
      DataType type = columns.apply(index).dataType();
      if (!(type instanceof StringType) && !(template && isScalar(type))) {
        throw new IllegalArgumentException(
            "%s: expected a column of texts, found '%s' of type %s"
                .formatted(flag, name, type.simpleString()));
      }
      texts.add(cell(index, type));
    }
    Column key = input.key().map(name -> key(columns, name)).orElse(lit(null));
    List<Column> all = new ArrayList<>();
    List<Column> options = new ArrayList<>();
    for (int i = 0; i < columns.length(); i++) {
      Column named = col(InputRows.column(i)).as(columns.fieldNames()[i]);
      all.add(named);
      if (SourceRow.OPTIONS.contains(columns.fieldNames()[i])) {
        options.add(named);
      }
    }
    Column source =
        struct(
                col(FILE),
                col(POSITION),
                sha2(json(all).cast(DataTypes.BinaryType), 256),
                col(PROBLEM),
                key,
                array(texts.toArray(new Column[0])),
                options.isEmpty() ? lit(null) : json(options))
            .cast(SourceRow.SCHEMA)
            .as(InputRows.SOURCE);
    List<Column> selected = new ArrayList<>();
    for (int i = 0; i < columns.length(); i++) {
      selected.add(col(InputRows.column(i)));
    }
    selected.add(source);
    return new InputRows(
        columns,
        placed.select(selected.toArray(new Column[0])),
        count,
        placed.rdd().getNumPartitions());
  }

  private static Column key(StructType columns, String name) {
    int index = InputRows.index(columns, "--key", name);
    DataType type = columns.apply(index).dataType();
    if (!(type instanceof StringType) && !isScalar(type)) {
      throw new IllegalArgumentException(
          "--key: expected a column of texts or numbers, found '%s' of type %s"
              .formatted(name, type.simpleString()));
    }
    return cell(index, type);
  }

  private static boolean isScalar(DataType type) {
    return !(type instanceof StructType
        || type instanceof ArrayType
        || type instanceof MapType
        || type instanceof BinaryType);
  }

  private static Column cell(int index, DataType type) {
    Column value = col(InputRows.column(index));
    Column kind = when(value.isNull(), lit(Kind.NULL.name()));
    kind =
        type instanceof StringType
            ? kind.when(not(is_valid_utf8(value)), lit(Kind.BROKEN.name()))
                .otherwise(lit(Kind.TEXT.name()))
            : kind.otherwise(lit(Kind.SCALAR.name()));
    return struct(kind.as("kind"), value.cast(DataTypes.StringType).as("text"));
  }

  /** Null columns are left out, so that a column that later files add changes nothing. */
  private static Column json(List<Column> columns) {
    return to_json(struct(columns.toArray(new Column[0])), Map.of("timeZone", "UTC"));
  }
}
