package quamba.job;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.example.GroupReadSupport;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.Type;

/**
 * A folder of Parquet files, read by Parquet's own example reader and not by Spark.
 *
 * @param schema a line for each column
 * @param rows values by column; members of a group by {@code group.member}; nulls left out
 */
record ParquetRows(List<String> schema, List<Map<String, Object>> rows) {
  static ParquetRows read(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      List<String> schema = List.of();
      List<Map<String, Object>> rows = new ArrayList<>();
      for (Path file : files.filter(it -> it.toString().endsWith(".parquet")).sorted().toList()) {
        var path = new org.apache.hadoop.fs.Path(file.toUri());
        HadoopInputFile input = HadoopInputFile.fromPath(path, new Configuration());
        try (ParquetFileReader footer = ParquetFileReader.open(input)) {
          schema =
              footer.getFileMetaData().getSchema().getFields().stream()
                  .map(ParquetRows::describe)
                  .toList();
        }
        try (ParquetReader<Group> reader =
            ParquetReader.builder(new GroupReadSupport(), path).build()) {
          for (Group row = reader.read(); row != null; row = reader.read()) {
            Map<String, Object> values = new LinkedHashMap<>();
            collect(row, "", values);
            rows.add(values);
          }
        }
      }
      return new ParquetRows(schema, rows);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String describe(Type type) {
    if (!type.isPrimitive()) {
      return type.asGroupType().getFields().stream()
          .map(ParquetRows::describe)
          .collect(Collectors.joining(", ", "group " + type.getName() + " {", "}"));
    }
    LogicalTypeAnnotation logical = type.getLogicalTypeAnnotation();
    String name = type.asPrimitiveType().getPrimitiveTypeName().name().toLowerCase(Locale.ROOT);
    return name + " " + type.getName() + (logical == null ? "" : " (" + logical + ")");
  }

  private static void collect(Group group, String prefix, Map<String, Object> values) {
    GroupType type = group.getType();
    for (int i = 0; i < type.getFieldCount(); i++) {
      if (group.getFieldRepetitionCount(i) == 0) {
        continue;
      }
      String name = prefix + type.getFieldName(i);
      if (!type.getType(i).isPrimitive()) {
        collect(group.getGroup(i, 0), name + ".", values);
        continue;
      }
      values.put(
          name,
          switch (type.getType(i).asPrimitiveType().getPrimitiveTypeName()) {
            case INT32 -> group.getInteger(i, 0);
            case INT64 -> group.getLong(i, 0);
            case BOOLEAN -> group.getBoolean(i, 0);
            default -> group.getString(i, 0);
          });
    }
  }
}
