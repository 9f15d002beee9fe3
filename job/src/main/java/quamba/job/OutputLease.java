package quamba.job;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.Timer;
import java.util.TimerTask;
import java.util.UUID;
import org.apache.hadoop.fs.ChecksumException;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * One driver's right to write a folder, while it lives. A file in the folder says whose it is, and
 * is written again and again. What a dead driver left is taken over: on its own host at once, from
 * another host when the file has not changed for {@link #PATIENCE} beats. No clocks are compared.
 */
final class OutputLease implements AutoCloseable {
  /** The file. */
  static final String NAME = "_quamba.lease";

  static final Duration BEAT = Duration.ofSeconds(5);
  private static final int PATIENCE = 4;

  private final FileSystem fs;
  private final Path file;
  private final Holder own;
  private final Timer heart = new Timer("quamba-lease", /* isDaemon= */ true);
  private long beats;

  /**
   * A driver.
   *
   * @param started when the process did, in milliseconds since 1970
   * @param id of the lease alone
   */
  private record Holder(String host, long pid, long started, String id) {
    static Holder ofThisProcess() throws IOException {
      ProcessHandle self = ProcessHandle.current();
      return new Holder(
          InetAddress.getLocalHost().getHostName(),
          self.pid(),
          started(self),
          UUID.randomUUID().toString());
    }

    private static long started(ProcessHandle process) {
      return process.info().startInstant().map(Instant::toEpochMilli).orElse(0L);
    }

    /** Empty for a file that is being written. */
    static Optional<Holder> parse(String text) {
      String[] words = text.split(" ", -1);
      return words.length < 5
          ? Optional.empty()
          : Optional.of(
              new Holder(words[0], Long.parseLong(words[1]), Long.parseLong(words[2]), words[3]));
    }

    String text(long beats) {
      return "%s %d %d %s %d".formatted(host, pid, started, id, beats);
    }

    boolean isOn(Holder other) {
      return host.equals(other.host);
    }

    /** Whether the process lives, for one of this host. */
    boolean lives() {
      return ProcessHandle.of(pid).filter(it -> started(it) == started).isPresent();
    }

    @Override
    public String toString() {
      return "process %d on %s".formatted(pid, host);
    }
  }

  private OutputLease(FileSystem fs, Path file, Holder own, Duration beat) {
    this.fs = fs;
    this.file = file;
    this.own = own;
    TimerTask next =
        new TimerTask() {
          @Override
          public void run() {
            beat();
          }
        };
    heart.schedule(next, beat.toMillis(), beat.toMillis());
  }

  /**
   * Takes the lease of a folder, which is made if there is none.
   *
   * @param beat after which it is written again
   * @throws IllegalArgumentException if a driver that lives has it
   */
  static OutputLease take(FileSystem fs, Path folder, Duration beat) throws IOException {
    Path file = new Path(folder, NAME);
    Holder own = Holder.ofThisProcess();
    fs.mkdirs(folder);
    while (true) {
      try (OutputStream out = fs.create(file, false)) {
        out.write(own.text(0).getBytes(StandardCharsets.UTF_8));
      } catch (FileAlreadyExistsException e) {
        requireDead(fs, file, own, beat);
        fs.delete(file, false);
        continue;
      }
      return new OutputLease(fs, file, own, beat);
    }
  }

  private static void requireDead(FileSystem fs, Path file, Holder own, Duration beat)
      throws IOException {
    String first = read(fs, file);
    Optional<Holder> holder = Holder.parse(first);
    boolean near = holder.isPresent() && holder.get().isOn(own);
    boolean lives = near && holder.get().lives();
    for (int waited = 0; !near && !lives && waited < PATIENCE; waited++) {
      pause(beat);
      lives = !read(fs, file).equals(first);
    }
    if (lives) {
      throw new IllegalArgumentException(
          "--output: %s is written by another job, %s: wait for it, or name another folder"
              .formatted(file.getParent(), holder.map(Holder::toString).orElse("which began now")));
    }
  }

  private static void pause(Duration beat) throws IOException {
    try {
      Thread.sleep(beat.toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while waiting for the output's lease", e);
    }
  }

  /** Empty if there is none, or it is being written. */
  private static String read(FileSystem fs, Path file) throws IOException {
    try (var in = fs.open(file)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (FileNotFoundException | ChecksumException e) {
      return "";
    }
  }

  private boolean isOwn() throws IOException {
    return Holder.parse(read(fs, file)).filter(own::equals).isPresent();
  }

  private synchronized void beat() {
    try {
      if (isOwn()) {
        try (OutputStream out = fs.create(file, true)) {
          out.write(own.text(++beats).getBytes(StandardCharsets.UTF_8));
        }
      }
    } catch (IOException e) {
      // The next beat tries again; require() says whether the lease was lost meanwhile.
    }
  }

  /**
   * Asks whether the folder is still this driver's.
   *
   * @throws IllegalStateException if another driver has taken it over
   */
  synchronized void require() throws IOException {
    if (!isOwn()) {
      throw new IllegalStateException(
          file.getParent() + ": another job has taken the output over, as this one did not answer");
    }
  }

  /** Gives the lease back. */
  @Override
  public synchronized void close() throws IOException {
    heart.cancel();
    if (isOwn()) {
      fs.delete(file, false);
    }
  }
}
