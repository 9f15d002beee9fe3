package quamba.udf.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * SHA-256 of every file of a checkpoint. As a file, {@code manifest.json}: {@code {"sha256":
 * {"config.json": "9f86d0…"}}}.
 *
 * @param sha256 64 hexadecimal digits, by file name
 */
public record Manifest(SortedMap<String, String> sha256) {
  /** Name of the file that holds a manifest. */
  public static final String FILE = "manifest.json";

  private static final int CHUNK_BYTES = 1 << 20;

  /** Takes a copy. */
  public Manifest {
    sha256 = Collections.unmodifiableSortedMap(new TreeMap<>(sha256));
  }

  /**
   * The manifest of all files that lie in {@code dir} itself, but for hidden ones and a manifest.
   *
   * @throws InvalidCheckpointException if one cannot be read
   */
  public static Manifest of(Path dir) {
    try (Stream<Path> files = Files.list(dir)) {
      return of(
          files
              .filter(Files::isRegularFile)
              .filter(file -> !file.getFileName().toString().startsWith("."))
              .filter(file -> !file.endsWith(FILE))
              .toList());
    } catch (IOException e) {
      throw new InvalidCheckpointException(dir + ": cannot be listed: " + e, e);
    }
  }

  /**
   * The manifest of these files, by their names without folder.
   *
   * @throws InvalidCheckpointException if one cannot be read
   */
  public static Manifest of(List<Path> files) {
    SortedMap<String, String> sha256 = new TreeMap<>();
    files.forEach(file -> sha256.put(file.getFileName().toString(), sha256(file)));
    return new Manifest(sha256);
  }

  /**
   * Reads {@code manifest.json} of a folder.
   *
   * @throws InvalidCheckpointException if it cannot be read or is no manifest
   */
  public static Manifest read(Path dir) {
    Path file = dir.resolve(FILE);
    JsonNode map = StrictJson.object(file.toString(), StrictJson.text(file)).path("sha256");
    if (!map.isObject()) {
      throw new InvalidCheckpointException(
          "%s: expected an object 'sha256', found %s".formatted(file, map.getNodeType()));
    }
    SortedMap<String, String> sha256 = new TreeMap<>();
    for (Map.Entry<String, JsonNode> entry : map.properties()) {
      String name = StrictJson.fileName(file.toString(), entry.getKey());
      String hex = entry.getValue().asText();
      if (!hex.matches("[0-9a-f]{64}")) {
        throw new InvalidCheckpointException(
            "%s: '%s': expected 64 hexadecimal digits, found '%s'".formatted(file, name, hex));
      }
      sha256.put(name, hex);
    }
    return new Manifest(sha256);
  }

  /**
   * Writes {@code manifest.json} into a folder.
   *
   * @throws UncheckedIOException if it cannot be written
   */
  public void write(Path dir) {
    ObjectWriter json = StrictJson.mapper().writerWithDefaultPrettyPrinter();
    try (OutputStream out = Files.newOutputStream(dir.resolve(FILE))) {
      out.write(json.writeValueAsBytes(Map.of("sha256", sha256)));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a map of strings is always JSON", e);
    } catch (IOException e) {
      throw new UncheckedIOException(dir.resolve(FILE) + ": cannot be written: " + e, e);
    }
  }

  /**
   * Compares the files of a folder with this manifest.
   *
   * @throws InvalidCheckpointException if one is missing or differs
   */
  public void verify(Path dir) {
    sha256.forEach(
        (name, expected) -> {
          Path file = dir.resolve(name);
          if (!Files.isRegularFile(file)) {
            throw new InvalidCheckpointException(
                "%s: expected SHA-256 %s, found no file".formatted(file, expected));
          }
          String found = sha256(file);
          if (!found.equals(expected)) {
            throw new InvalidCheckpointException(
                "%s: expected SHA-256 %s, found %s".formatted(file, expected, found));
          }
        });
  }

  private static String sha256(Path file) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] chunk = new byte[CHUNK_BYTES];
      try (DigestInputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
        while (in.read(chunk) >= 0) {
          // Reading is what feeds the digest.
        }
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (IOException e) {
      throw new InvalidCheckpointException(file + ": cannot be read: " + e, e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
