package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Holds the fields of a layer against the text of layers.cuh. */
final class CudaLayerFieldTest {
  private static final Path SOURCE = Path.of("src", "main", "cuda", "layers.cuh");

  @Test
  void fieldsStandInTheirStructureAsInTheTable() throws IOException {
    String text = Files.readString(SOURCE);
    Matcher structure =
        Pattern.compile("struct Layer \\{(.*?)\n\\};", Pattern.DOTALL).matcher(text);
    structure.find();
    List<String> found =
        Pattern.compile("(?m)^  ([\\w ]+\\*?) (\\w+);")
            .matcher(structure.group(1))
            .results()
            .map(field -> field.group(1) + " " + field.group(2))
            .toList();
    List<String> expected =
        Arrays.stream(CudaLayerField.values())
            .map(field -> field.type().text() + " " + field.name().toLowerCase(Locale.ROOT))
            .toList();
    assertEquals(expected, found);
  }

  /** The structure has no gaps: pointers, then an even number of numbers. */
  @Test
  void bytesAreThoseOfTheStructure() {
    assertEquals(0, CudaLayerField.bytes() % Long.BYTES);
  }
}
