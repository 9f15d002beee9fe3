package quamba.job;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import quamba.udf.SharedFiles;

/** Files that tests read and write. */
final class TestFiles {
  private static final ObjectMapper JSON = new ObjectMapper();

  private TestFiles() {}

  /** The small model that is shipped. */
  static Path model() {
    return SharedFiles.root().resolve("job/src/demo/mamba2-5m");
  }

  /** All rows of a JSON output. */
  static List<JsonNode> rows(Path output) {
    List<JsonNode> rows = new ArrayList<>();
    try (Stream<Path> files = Files.list(output)) {
      for (Path file : files.sorted().toList()) {
        if (file.getFileName().toString().startsWith("part-")) {
          try (MappingIterator<JsonNode> values =
              JSON.readerFor(JsonNode.class).readValues(file.toFile())) {
            rows.addAll(values.readAll());
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return rows;
  }
}
