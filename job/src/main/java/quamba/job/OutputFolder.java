package quamba.job;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The folder that a job writes. It is this program's while {@link #FINGERPRINT} is in it, and whole
 * once {@link #SUCCESS} is; a folder with anything else in it is never touched.
 */
final class OutputFolder {
  /** What decided the output. */
  static final String FINGERPRINT = "_quamba.json";

  /** Written last, after the rows have been counted. */
  static final String SUCCESS = "_SUCCESS";

  /** Names that this program or Spark's committer writes. */
  private static final Pattern OURS =
      Pattern.compile(
          "\\.?(part-.*|_SUCCESS|_quamba\\.(json|lease)|_temporary|_spark_metadata)(\\.crc)?");

  private final FileSystem fs;
  private final Path folder;

  OutputFolder(Configuration conf, String path) throws IOException {
    folder = new Path(path);
    fs = folder.getFileSystem(conf);
  }

  /** Where it is, with its scheme. */
  String path() {
    return fs.makeQualified(folder).toString();
  }

  /**
   * Looks before anything runs.
   *
   * @throws IllegalArgumentException if something is there that is not this program's
   */
  void requireOurs(InputFiles inputs) throws IOException {
    String own = real(fs.makeQualified(folder)) + "/";
    boolean within = inputs.files().stream().anyMatch(it -> real(it.getPath()).startsWith(own));
    if (within || inputs.folders().stream().anyMatch(it -> own.startsWith(real(it) + "/"))) {
      throw new IllegalArgumentException(
          "--output: expected another folder than the input's, found " + folder);
    }
    if (!fs.exists(folder)) {
      return;
    }
    if (!fs.getFileStatus(folder).isDirectory()) {
      throw new IllegalArgumentException("--output: expected a folder, found a file: " + folder);
    }
    boolean foreign =
        Arrays.stream(fs.listStatus(folder))
            .anyMatch(it -> !it.getPath().getName().contains(OutputLease.NAME));
    if (foreign && !fs.exists(new Path(folder, FINGERPRINT))) {
      throw new IllegalArgumentException(
          "--output: expected no folder, or one that this program wrote, found other files in "
              + folder);
    }
  }

  /** Where a path leads; on this machine also through links, up to what is there. */
  private static String real(Path qualified) {
    if (!"file".equals(qualified.toUri().getScheme())) {
      return qualified.toString();
    }
    java.nio.file.Path there = java.nio.file.Path.of(qualified.toUri().getPath());
    java.nio.file.Path missing = java.nio.file.Path.of("");
    while (!Files.exists(there) && there.getParent() != null) {
      missing = there.getFileName().resolve(missing);
      there = there.getParent();
    }
    try {
      return there.toRealPath().resolve(missing).normalize().toString();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot be read: " + qualified, e);
    }
  }

  /** Whether the output of this very job is there, whole. */
  boolean isComplete(Fingerprint fingerprint, JobConfig.Writing writing) throws IOException {
    Path file = new Path(folder, FINGERPRINT);
    if (!fs.exists(file) || writing.overwrite()) {
      return false;
    }
    List<String> differences = Fingerprint.parse(read(file)).differences(fingerprint);
    if (!differences.isEmpty()) {
      throw new IllegalArgumentException(
          "--output: %s holds the output of another job; --overwrite begins anew: %s"
              .formatted(folder, String.join("; ", differences)));
    }
    return fs.exists(new Path(folder, SUCCESS));
  }

  /**
   * Removes what an earlier run left, and makes the folder this job's.
   *
   * @throws IllegalArgumentException if another job is writing it
   */
  OutputLease begin(Fingerprint fingerprint) throws IOException {
    OutputLease lease = OutputLease.take(fs, folder, OutputLease.BEAT);
    try {
      Path success = new Path(folder, SUCCESS);
      fs.delete(success, false); // first: from here on it is unfinished
      for (FileStatus file : fs.listStatus(folder)) {
        String name = file.getPath().getName();
        if (OURS.matcher(name).matches() && !name.contains(OutputLease.NAME)) {
          fs.delete(file.getPath(), true);
        }
      }
      write(new Path(folder, FINGERPRINT), fingerprint.toString());
    } catch (IOException | RuntimeException e) {
      lease.close();
      throw e;
    }
    return lease;
  }

  /** Says that the output is whole. */
  void finish(OutputLease lease) throws IOException {
    lease.require();
    write(new Path(folder, SUCCESS), "");
  }

  private String read(Path file) throws IOException {
    try (var in = fs.open(file)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private void write(Path file, String text) throws IOException {
    try (OutputStream out = fs.create(file, true)) {
      out.write(text.getBytes(StandardCharsets.UTF_8));
    }
  }
}
