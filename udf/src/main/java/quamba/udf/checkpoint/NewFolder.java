package quamba.udf.checkpoint;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.UUID;
import java.util.stream.Stream;

/** A folder that appears whole or not at all. */
public final class NewFolder {
  private NewFolder() {}

  /** Fills a folder with files. */
  @FunctionalInterface
  public interface Content<T> {
    /** Writes all files into {@code folder}. */
    T write(Path folder) throws IOException;
  }

  /**
   * Fills a folder beside {@code output} and then moves it there.
   *
   * @param output a folder that does not exist or is empty
   * @throws IllegalArgumentException if the output is not empty
   * @throws UncheckedIOException if the output cannot be written
   */
  public static <T> T write(Path output, Content<T> content) {
    Path target = output.toAbsolutePath().normalize();
    Path unfinished =
        target.resolveSibling(".%s.%s.tmp".formatted(target.getFileName(), UUID.randomUUID()));
    try {
      requireEmpty(target);
      Files.createDirectories(unfinished);
      try {
        T result = content.write(unfinished);
        Files.move(unfinished, target, StandardCopyOption.ATOMIC_MOVE);
        return result;
      } finally {
        delete(unfinished);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(output + ": cannot be written: " + e, e);
    }
  }

  /**
   * Refuses a folder that {@link #write} would refuse.
   *
   * @throws IllegalArgumentException if there is a file, or files in the folder
   */
  public static void requireEmpty(Path folder) {
    if (!Files.exists(folder)) {
      return;
    }
    if (!Files.isDirectory(folder)) {
      throw new IllegalArgumentException(folder + ": expected a folder, found a file");
    }
    try (Stream<Path> files = Files.list(folder)) {
      if (files.findAny().isPresent()) {
        throw new IllegalArgumentException(folder + ": expected an empty folder, found files");
      }
    } catch (IOException e) {
      throw new UncheckedIOException(folder + ": cannot be listed: " + e, e);
    }
  }

  private static void delete(Path folder) throws IOException {
    if (Files.exists(folder)) {
      try (Stream<Path> files = Files.list(folder)) {
        for (Path file : files.toList()) {
          Files.delete(file);
        }
      }
      Files.delete(folder);
    }
  }
}
