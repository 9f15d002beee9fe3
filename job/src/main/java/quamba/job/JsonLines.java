package quamba.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.from_json;

import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.StreamSupport;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.io.compress.CompressionCodecFactory;
import org.apache.hadoop.mapreduce.InputSplit;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.JobContext;
import org.apache.hadoop.mapreduce.lib.input.FileInputFormat;
import org.apache.hadoop.mapreduce.lib.input.FileSplit;
import org.apache.hadoop.mapreduce.lib.input.TextInputFormat;
import org.apache.spark.api.java.JavaNewHadoopRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import quamba.udf.PartitionTask.Template;
import quamba.udf.Sha256;
import quamba.udf.SourceRow;
import quamba.udf.SourceRow.Cell;
import quamba.udf.SourceRow.Place;
import quamba.udf.SourceRow.Problem;
import scala.Tuple2;

/**
 * Files of one JSON object a line. A line ends at {@code \n} and nowhere else (Spark's readers also
 * end it at {@code \r}), is one row whatever is in it, and stays one where it is broken; blank
 * lines are no rows. Columns are the names of all members of all objects, typed as Spark infers
 * them.
 */
final class JsonLines {
  /** Lists within lists beyond this are kept as JSON text: Spark's code for them explodes. */
  private static final int MAX_NESTING = 16;

  private JsonLines() {}

  /** A line that is not blank. */
  private record Line(Place place, boolean unicode, JsonLine json) {
    static Line of(String file, long position, Text text) {
      boolean unicode = true;
      try {
        StandardCharsets.UTF_8.newDecoder().decode(bytes(text));
      } catch (CharacterCodingException e) {
        unicode = false;
      }
      String line = StandardCharsets.UTF_8.decode(bytes(text)).toString();
      String content = Sha256.hex(text.getBytes(), text.getLength());
      return new Line(new Place(file, position, content), unicode, JsonLine.parse(line));
    }

    private static ByteBuffer bytes(Text text) {
      return ByteBuffer.wrap(text.getBytes(), 0, text.getLength());
    }

    /**
     * The line as a row.
     *
     * @param key the key's column, none if there is none
     */
    Row row(List<String> texts, List<String> key) {
      Problem problem = json.problem() == null && !unicode ? Problem.INVALID_TEXT : json.problem();
      SourceRow source =
          new SourceRow(
              place,
              problem,
              key.isEmpty() ? null : cell(key.get(0)),
              texts.stream().map(this::cell).toList(),
              json.only(SourceRow.OPTIONS));
      return RowFactory.create(json.object(), source.toRow());
    }

    private Cell cell(String name) {
      return json.members().getOrDefault(name, Cell.NULL);
    }
  }

  /** What a first pass over the lines finds. */
  private static final class Survey implements Serializable {
    private static final long serialVersionUID = 1L;
    private final TreeSet<String> names = new TreeSet<>();
    private long rows;

    Survey add(Line line) {
      rows++;
      names.addAll(line.json().members().keySet());
      return this;
    }

    Survey add(Survey other) {
      rows += other.rows;
      names.addAll(other.names);
      return this;
    }
  }

  static InputRows read(Session session, JobConfig.Input input) {
    SparkSession spark = session.spark();
    JavaRDD<Line> lines = lines(session, input.paths());
    Survey survey = lines.aggregate(new Survey(), Survey::add, Survey::add);
    List<String> texts = input.prompting().columns();
    List<String> key = input.key().stream().toList(); // an Optional does not travel
    StructType columns =
        survey.rows == 0 ? InputRows.unknownColumns(input) : infer(spark, lines, survey.names);
    requireColumns(columns, input);
    JavaRDD<Row> rows = lines.map(line -> line.row(texts, key));
    StructType schema =
        new StructType()
            .add("object", DataTypes.StringType)
            .add(InputRows.SOURCE, SourceRow.SCHEMA);
    Column object = from_json(col("object"), columns, JsonLine.SPARK_OPTIONS);
    List<Column> selected = new ArrayList<>();
    for (int i = 0; i < columns.length(); i++) {
      selected.add(col("row").getField(columns.fieldNames()[i]).as(InputRows.column(i)));
    }
    selected.add(col(InputRows.SOURCE));
    return new InputRows(
        columns,
        spark
            .createDataFrame(rows, schema)
            .select(object.as("row"), col(InputRows.SOURCE))
            .select(selected.toArray(new Column[0])),
        survey.rows,
        lines.getNumPartitions());
  }

  private static void requireColumns(StructType columns, JobConfig.Input input) {
    String flag = input.prompting() instanceof Template ? "--template" : "--prompt-column";
    input.prompting().columns().forEach(name -> InputRows.index(columns, flag, name));
    input.key().ifPresent(name -> InputRows.index(columns, "--key", name));
  }

  private static JavaRDD<Line> lines(Session session, List<String> paths) {
    Configuration conf = new Configuration(session.context().hadoopConfiguration());
    conf.set("textinputformat.record.delimiter", "\n");
    conf.setBoolean(FileInputFormat.INPUT_DIR_RECURSIVE, true);
    Job job;
    try {
      job = Job.getInstance(conf);
      FileInputFormat.setInputPaths(job, paths.stream().map(Path::new).toArray(Path[]::new));
    } catch (IOException e) {
      throw new IllegalArgumentException("--input: cannot be read: " + e.getMessage(), e);
    }
    JavaNewHadoopRDD<LongWritable, Text> records =
        (JavaNewHadoopRDD<LongWritable, Text>)
            session
                .context()
                .newAPIHadoopRDD(
                    job.getConfiguration(),
                    WholeIfCompressed.class,
                    LongWritable.class,
                    Text.class);
    return records.mapPartitionsWithInputSplit(JsonLines::lines, true);
  }

  /** A position in a compressed file is one in its text only if the file is not split. */
  public static final class WholeIfCompressed extends TextInputFormat {
    /** For Spark, which makes it by its class. */
    public WholeIfCompressed() {}

    @Override
    protected boolean isSplitable(JobContext context, Path file) {
      return new CompressionCodecFactory(context.getConfiguration()).getCodec(file) == null;
    }
  }

  private static Iterator<Line> lines(
      InputSplit split, Iterator<Tuple2<LongWritable, Text>> records) {
    String file = ((FileSplit) split).getPath().toString();
    Iterable<Tuple2<LongWritable, Text>> all = () -> records;
    return StreamSupport.stream(all.spliterator(), false)
        .filter(record -> !isBlank(record._2()))
        .map(record -> Line.of(file, record._1().get(), record._2()))
        .iterator();
  }

  private static boolean isBlank(Text line) {
    for (int i = 0; i < line.getLength(); i++) {
      if (" \t\r".indexOf(line.getBytes()[i]) < 0) {
        return false;
      }
    }
    return true;
  }

  /** Spark drops columns of nothing but empty objects, and those without a name: as text here. */
  private static StructType infer(SparkSession spark, JavaRDD<Line> lines, Set<String> names) {
    JavaRDD<String> objects = lines.map(line -> line.json().object()).filter(Objects::nonNull);
    StructType inferred =
        spark
            .read()
            .options(JsonLine.SPARK_OPTIONS)
            .json(spark.createDataset(objects.rdd(), Encoders.STRING()))
            .schema();
    Set<String> known = Set.of(inferred.fieldNames());
    return new StructType(
        names.stream()
            .map(
                name ->
                    field(
                        name,
                        known.contains(name)
                            ? inferred.apply(name).dataType()
                            : DataTypes.StringType))
            .toArray(StructField[]::new));
  }

  private static StructField field(String name, DataType type) {
    return DataTypes.createStructField(
        name, nesting(type) > MAX_NESTING ? DataTypes.StringType : type, true);
  }

  private static int nesting(DataType type) {
    if (type instanceof ArrayType array) {
      return 1 + nesting(array.elementType());
    }
    if (type instanceof StructType struct) {
      int deepest = 0;
      for (StructField field : struct.fields()) {
        deepest = Math.max(deepest, nesting(field.dataType()));
      }
      return 1 + deepest;
    }
    return 0;
  }
}
