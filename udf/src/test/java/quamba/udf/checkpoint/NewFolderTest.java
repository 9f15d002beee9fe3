package quamba.udf.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NewFolderTest {
  @TempDir Path folder;

  private long files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.count();
    }
  }

  @Test
  void appearsWhole() throws IOException {
    Path target = folder.resolve("new");
    int result =
        NewFolder.write(
            target,
            unfinished -> {
              Files.writeString(unfinished.resolve("a"), "one");
              assertFalse(Files.exists(target));
              return 7;
            });
    assertEquals(7, result);
    assertEquals("one", Files.readString(target.resolve("a")));
    assertEquals(1, files());
  }

  /** As when a disk is full in the middle of the second file. */
  @Test
  void leavesNothingIfWritingFails() throws IOException {
    Path target = folder.resolve("new");
    UncheckedIOException failure =
        assertThrows(
            UncheckedIOException.class,
            () ->
                NewFolder.write(
                    target,
                    unfinished -> {
                      Files.writeString(unfinished.resolve("a"), "one");
                      Files.writeString(unfinished.resolve("b"), "tw");
                      throw new IOException("No space left on device");
                    }));
    assertTrue(failure.getMessage().contains("No space left on device"), failure.getMessage());
    assertTrue(failure.getMessage().contains(target.toString()), failure.getMessage());
    assertEquals(0, files());
  }

  @Test
  void filesAreNotReplaced() throws IOException {
    Path target = Files.createDirectory(folder.resolve("old"));
    Files.writeString(target.resolve("a"), "one");
    assertThrows(IllegalArgumentException.class, () -> NewFolder.requireEmpty(target));
    assertThrows(IllegalArgumentException.class, () -> NewFolder.requireEmpty(target.resolve("a")));
    NewFolder.requireEmpty(folder.resolve("none"));
  }
}
