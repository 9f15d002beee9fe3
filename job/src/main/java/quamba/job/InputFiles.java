package quamba.job;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import quamba.udf.Sha256;

/** The files that an input is made of, sorted by name. */
record InputFiles(List<FileStatus> files) {
  /**
   * Lists what the paths hold, but for names that begin with a dot or an underscore.
   *
   * @throws IllegalArgumentException naming a path where there is nothing
   */
  static InputFiles list(Configuration conf, List<String> paths) throws IOException {
    List<FileStatus> files = new ArrayList<>();
    for (String path : paths) {
      Path pattern = new Path(path);
      FileSystem fs = pattern.getFileSystem(conf);
      FileStatus[] matches = fs.globStatus(pattern);
      int before = files.size();
      if (matches != null) {
        for (FileStatus match : matches) {
          collect(fs, match, files);
        }
      }
      if (files.size() == before) {
        throw new IllegalArgumentException("--input: expected files, found none at " + path);
      }
    }
    files.sort((a, b) -> a.getPath().compareTo(b.getPath()));
    return new InputFiles(List.copyOf(files));
  }

  private static void collect(FileSystem fs, FileStatus status, List<FileStatus> files)
      throws IOException {
    if (!status.isDirectory()) {
      files.add(status);
      return;
    }
    for (FileStatus child : fs.listStatus(status.getPath())) {
      if (!child.getPath().getName().matches("[._].*")) {
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
