package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class OutputLeaseTest {
  private static final Duration BEAT = Duration.ofMillis(100);

  @TempDir Path temporary;
  private Path folder;
  private Path file;
  private FileSystem fs;

  @BeforeEach
  void paths() throws IOException {
    folder = temporary.resolve("out");
    file = folder.resolve(OutputLease.NAME);
    // Without checksums, as a test writes the file too.
    fs = FileSystem.getLocal(new Configuration()).getRawFileSystem();
  }

  private OutputLease take() throws IOException {
    return OutputLease.take(fs, new org.apache.hadoop.fs.Path(folder.toString()), BEAT);
  }

  private void left(String host, long pid, int beats) throws IOException {
    Files.createDirectories(folder);
    Files.writeString(file, "%s %d 1 some-id %d".formatted(host, pid, beats));
  }

  @Test
  void oneDriverAtATime() throws IOException {
    try (OutputLease lease = take()) {
      lease.require();
      String refusal = assertThrows(IllegalArgumentException.class, this::take).getMessage();
      String process = "process " + ProcessHandle.current().pid() + " on ";
      assertTrue(refusal.contains(process), refusal);
      lease.require();
    }
    assertFalse(Files.exists(file));
    take().close();
  }

  @Test
  void aDeadDriverOfThisHostIsSucceededAtOnce() throws Exception {
    Process dead = new ProcessBuilder("true").start();
    dead.waitFor();
    String host = InetAddress.getLocalHost().getHostName();
    left(host, dead.pid(), 3);
    take().close();
    left(host, ProcessHandle.current().pid(), 3); // another process had the number before
    take().close();
  }

  @Test
  void aSilentDriverOfAnotherHostIsSucceeded() throws IOException {
    left("elsewhere", 1, 3);
    take().close();
    Files.writeString(file, ""); // killed within a beat
    take().close();
  }

  @Test
  void aDriverOfAnotherHostThatBeatsIsNot() throws Exception {
    left("elsewhere", 1, 0);
    AtomicBoolean over = new AtomicBoolean();
    Thread other =
        new Thread(
            () -> {
              for (int beats = 1; !over.get(); beats++) {
                try {
                  left("elsewhere", 1, beats);
                  Thread.sleep(10);
                } catch (IOException | InterruptedException e) {
                  throw new IllegalStateException(e);
                }
              }
            });
    other.start();
    String refusal = assertThrows(IllegalArgumentException.class, this::take).getMessage();
    over.set(true);
    other.join();
    assertTrue(refusal.contains("is written by another job"), refusal);
    assertTrue(Files.readString(file).startsWith("elsewhere 1 "));
  }

  @Test
  void theFileChangesWhileTheLeaseIsHeld() throws Exception {
    try (OutputLease lease = take()) {
      String first = Files.readString(file);
      while (Files.readString(file).isEmpty() || Files.readString(file).equals(first)) {
        Thread.sleep(10);
      }
      lease.require();
    }
  }

  @Test
  void whoHasLostTheLeaseDoesNotFinishNorTakeItFromTheNext() throws IOException {
    OutputLease lost = take();
    left("elsewhere", 1, 7);
    assertThrows(IllegalStateException.class, lost::require);
    lost.close();
    assertEquals("elsewhere 1 1 some-id 7", Files.readString(file));
  }
}
