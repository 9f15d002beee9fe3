package quamba.udf.checkpoint;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.ZipEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipFile;

/**
 * Where the records of a PyTorch archive lie in its file: a zip, or zip64, whose entries are stored
 * without compression in one folder, so that each is a range of the file. Sums (CRC) are not
 * compared: PyTorch has a setting that leaves them out.
 */
final class TorchEntries {
  /** The record that describes the tensors. */
  static final String PICKLE = "data.pkl";

  /** Bytes of the file from {@code begin} on. */
  record Range(long begin, long bytes) {}

  private final Map<String, Range> ranges;
  private final String folder;

  private TorchEntries(Map<String, Range> ranges, String folder) {
    this.ranges = ranges;
    this.folder = folder;
  }

  /**
   * Finds the records of an archive.
   *
   * @param fileBytes size of the file
   * @throws InvalidCheckpointException if the file is no zip, is damaged, or no PyTorch archive
   */
  static TorchEntries read(Path file, long fileBytes) {
    Map<String, Range> ranges = new TreeMap<>();
    for (ZipArchiveEntry entry : entries(file)) {
      Range range = range(file, entry, fileBytes);
      if (ranges.put(entry.getName(), range) != null) {
        throw new InvalidCheckpointException(
            "%s: expected an entry '%s', found two".formatted(file, entry.getName()));
      }
    }
    List<String> pickles =
        ranges.keySet().stream().filter(name -> name.matches("[^/]*/data\\.pkl")).toList();
    if (pickles.size() != 1) {
      throw new InvalidCheckpointException(
          "%s: expected one folder with %s, found %s".formatted(file, PICKLE, pickles));
    }
    String pickle = pickles.get(0);
    String folder = pickle.substring(0, pickle.length() - PICKLE.length());
    if (ranges.containsKey(folder + "constants.pkl")) {
      throw new InvalidCheckpointException(
          file + ": expected a dictionary of tensors, found a TorchScript program");
    }
    return new TorchEntries(ranges, folder);
  }

  /** Whether the archive has a record of this name. */
  boolean has(String record) {
    return ranges.containsKey(folder + record);
  }

  /**
   * Where one record lies.
   *
   * @param where the beginning of the message
   * @throws InvalidCheckpointException if there is none of that name
   */
  Range range(String where, String record) {
    Range range = ranges.get(folder + record);
    if (range == null) {
      throw new InvalidCheckpointException(
          "%s: expected the record '%s' in the archive, found none".formatted(where, record));
    }
    return range;
  }

  private static List<ZipArchiveEntry> entries(Path file) {
    // The library answers damage with many kinds of exception.
    try (ZipFile zip = ZipFile.builder().setPath(file).get()) {
      return Collections.list(zip.getEntries());
    } catch (IOException | RuntimeException e) {
      throw new InvalidCheckpointException(
          "%s: expected a zip archive as PyTorch 1.6 and later write it, found none: %s"
              .formatted(file, e.getMessage()),
          e);
    }
  }

  private static Range range(Path file, ZipArchiveEntry entry, long fileBytes) {
    long begin = entry.getDataOffset();
    long bytes = entry.getSize();
    boolean stored =
        entry.getMethod() == ZipEntry.STORED
            && entry.getCompressedSize() == bytes
            && !entry.getGeneralPurposeBit().usesEncryption();
    if (!stored) {
      throw new InvalidCheckpointException(
          "%s: entry '%s': expected it stored as it is, found it compressed or encrypted"
              .formatted(file, entry.getName()));
    }
    if (begin < 0 || bytes < 0 || bytes > fileBytes || begin > fileBytes - bytes) {
      throw new InvalidCheckpointException(
          "%s: entry '%s': expected %d bytes at %d, found a file of %d bytes"
              .formatted(file, entry.getName(), bytes, begin, fileBytes));
    }
    return new Range(begin, bytes);
  }
}
