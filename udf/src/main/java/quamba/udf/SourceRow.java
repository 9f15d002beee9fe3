package quamba.udf;

import java.nio.ByteBuffer;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import quamba.udf.engine.RowError;

/**
 * What a reader says of an input row beside its columns: where it was and what it asks for. Travels
 * as the last column of the rows and is never written.
 *
 * @param place where the row was read
 * @param problem why the row cannot run whatever its columns say, null if it can
 * @param key the row's key, null if the job has no key column
 * @param texts the prompt column, or the template's columns in their order
 * @param options a JSON object of the row's own sampling options
 */
public record SourceRow(Place place, Problem problem, Cell key, List<Cell> texts, String options) {
  /** Columns of an input that say how its rows are sampled. */
  public static final List<String> OPTIONS =
      List.of(
          "max_tokens",
          "temperature",
          "top_k",
          "top_p",
          "min_p",
          "repetition_penalty",
          "seed",
          "stop");

  /**
   * Where a row was read.
   *
   * @param file of the row, with its folders
   * @param position of the row in its file: bytes before its line, or rows before it
   * @param content SHA-256 of the row
   */
  public record Place(String file, long position, String content) {
    /** For people: the file's name and the position. */
    @Override
    public String toString() {
      return fileName() + ", position " + position;
    }

    private String fileName() {
      return file.substring(file.lastIndexOf('/') + 1);
    }
  }

  /** Why a row cannot run whatever its columns say. */
  public enum Problem {
    MALFORMED_JSON("malformed-json", "the line is no JSON"),
    NOT_AN_OBJECT("not-an-object", "the line is JSON but no object"),
    MALFORMED_CSV("malformed-csv", "the row has not as many fields as the header"),
    INVALID_TEXT("invalid-text", "the line is no UTF-8"),
    DUPLICATE_KEY("duplicate-key", "an earlier row has the same key");

    private final String errorClass;
    private final String message;

    Problem(String errorClass, String message) {
      this.errorClass = errorClass;
      this.message = message;
    }

    RowError error() {
      return new RowError(errorClass, message, false);
    }
  }

  /** What kind of value a column holds in a row. */
  public enum Kind {
    /** Text. */
    TEXT,
    /** A number or a truth value. */
    SCALAR,
    /** A list or an object. */
    NESTED,
    /** Null, or absent. */
    NULL,
    /** Text with an unpaired surrogate, or bytes that are no UTF-8. */
    BROKEN
  }

  /**
   * A value of a row.
   *
   * @param text the value as text, null where it has none
   */
  public record Cell(Kind kind, String text) {
    /** No value. */
    public static final Cell NULL = new Cell(Kind.NULL, null);
  }

  /** A {@link Cell} as a column. */
  public static final StructType CELL_SCHEMA =
      new StructType().add("kind", DataTypes.StringType).add("text", DataTypes.StringType);

  /** A {@link SourceRow} as a column. */
  public static final StructType SCHEMA =
      new StructType()
          .add("file", DataTypes.StringType)
          .add("position", DataTypes.LongType)
          .add("content", DataTypes.StringType)
          .add("problem", DataTypes.StringType)
          .add("key", CELL_SCHEMA)
          .add("texts", new ArrayType(CELL_SCHEMA, true))
          .add("options", DataTypes.StringType);

  /**
   * The 64 bits that stand for the row in random numbers: of its key, or of its file's name, its
   * position there and its content. Folders are left out, so that data that moves keeps its texts.
   */
  long keyBits() {
    byte[] hash =
        key != null
            ? Sha256.of("key", key.text())
            : Sha256.of("row", place.fileName(), Long.toString(place.position()), place.content());
    return ByteBuffer.wrap(hash).getLong();
  }

  /** From a value of the column. */
  static SourceRow of(Row row) {
    return new SourceRow(
        new Place(row.getString(0), row.getLong(1), row.getString(2)),
        row.isNullAt(3) ? null : Problem.valueOf(row.getString(3)),
        cell(row.getStruct(4)),
        row.<Row>getList(5).stream().map(SourceRow::cell).toList(),
        row.getString(6));
  }

  /** As a value of the column. */
  public Row toRow() {
    return RowFactory.create(
        place.file(),
        place.position(),
        place.content(),
        problem == null ? null : problem.name(),
        cell(key),
        texts.stream().map(SourceRow::cell).toArray(),
        options);
  }

  private static Cell cell(Row row) {
    return row == null ? null : new Cell(Kind.valueOf(row.getString(0)), row.getString(1));
  }

  private static Row cell(Cell cell) {
    return cell == null ? null : RowFactory.create(cell.kind().name(), cell.text());
  }
}
