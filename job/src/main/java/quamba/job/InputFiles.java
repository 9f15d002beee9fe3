package quamba.job;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.compress.ZStandardCodec;
import quamba.udf.Sha256;

/**
 * The files that an input is made of, sorted by name.
 *
 * @param folders that were named, by path or glob
 */
record InputFiles(List<FileStatus> files, Set<Path> folders) {
  /** As Spark's readers have it. */
  private static final String HIDDEN = "[._].*";

  /**
   * Lists what the paths hold, but for names that begin with a dot or an underscore.
   *
   * @throws IllegalArgumentException naming a path where there is nothing, or a file that is there
   *     twice, or that cannot be read here
   */
  static InputFiles list(Configuration conf, List<String> paths) throws IOException {
    List<FileStatus> files = new ArrayList<>();
    Set<Path> folders = new HashSet<>();
    for (String path : paths) {
      Path pattern = new Path(path);
      FileSystem fs = pattern.getFileSystem(conf);
      FileStatus[] matches = fs.globStatus(pattern);
      int before = files.size();
      if (matches != null) {
        for (FileStatus match : matches) {
          if (match.isDirectory()) {
            folders.add(match.getPath());
          } else if (match.getPath().getName().matches(HIDDEN)) {
            throw new IllegalArgumentException(
                "--input: expected a name without _ or . in front, which hide a file, found "
                    + match.getPath());
          }
          collect(fs, match, files);
        }
      }
      if (files.size() == before) {
        throw new IllegalArgumentException("--input: expected files, found none at " + path);
      }
    }
    files.sort((a, b) -> a.getPath().compareTo(b.getPath()));
    for (int i = 1; i < files.size(); i++) {
      if (files.get(i).getPath().equals(files.get(i - 1).getPath())) {
        throw new IllegalArgumentException(
            "--input: expected each file once, found twice " + files.get(i).getPath());
      }
    }
    files.forEach(file -> requireCodec(file.getPath()));
    return new InputFiles(List.copyOf(files), Set.copyOf(folders));
  }

  private static void requireCodec(Path file) {
    if (file.getName().endsWith(".zst") && !ZStandardCodec.isNativeCodeLoaded()) {
      throw new IllegalArgumentException(
          "--input: expected another compression, such as .gz, as Hadoop's library for .zst is not"
              + " on this machine, found "
              + file);
    }
  }

  /** Whether folders below the named ones are called {@code name=value}: columns, to Spark. */
  boolean arePartitioned() {
    return files.stream().anyMatch(this::isPartitioned);
  }

  private boolean isPartitioned(FileStatus file) {
    boolean valued = false;
    for (Path at = file.getPath().getParent(); at != null; at = at.getParent()) {
      if (folders.contains(at)) {
        return valued;
      }
      valued |= at.getName().contains("=");
    }
    return false; // named itself
  }

  /**
   * Compares with what a reader lists.
   *
   * @throws IllegalArgumentException if it has other files
   */
  void requireAll(String[] read) {
    long found = Arrays.stream(read).filter(it -> !new Path(it).getName().matches(HIDDEN)).count();
    if (found != files.size()) {
      throw new IllegalArgumentException(
          "--input: expected a table of %d files, found one of %d: folders named name=value lie beside others"
              .formatted(files.size(), found));
    }
  }

  private static void collect(FileSystem fs, FileStatus status, List<FileStatus> files)
      throws IOException {
    if (!status.isDirectory()) {
      files.add(status);
      return;
    }
    for (FileStatus child : fs.listStatus(status.getPath())) {
      if (!child.getPath().getName().matches(HIDDEN)) {
        collect(fs, child, files);
      }
    }
  }

  long bytes() {
    return files.stream().mapToLong(FileStatus::getLen).sum();
  }

  /** Number, size, and a digest of names, sizes and times: what tells this input from another. */
  String identity() {
    String[] parts =
        files.stream()
            .map(it -> it.getPath() + " " + it.getLen() + " " + it.getModificationTime())
            .toArray(String[]::new);
    String digest = HexFormat.of().formatHex(Sha256.of(parts), 0, 8);
    return "%d files, %d bytes, %s".formatted(files.size(), bytes(), digest);
  }
}
