package quamba.udf;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Models and data that lie beside the repository and are too large to ship. A test that asks for
 * one that is missing is skipped and says which.
 */
public final class SharedFiles {
  private SharedFiles() {}

  /** The repository's root folder. */
  public static Path root() {
    return Path.of(System.getProperty("quamba.root", "..")).toAbsolutePath().normalize();
  }

  /** {@code ../shared/name}, seen from the repository's root. */
  public static Path shared(String name) {
    Path path = root().resolveSibling("shared").resolve(name);
    assumeTrue(Files.exists(path), "skipped: ../shared/" + name + " is missing");
    return path;
  }
}
