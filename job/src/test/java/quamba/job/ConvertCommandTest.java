package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.udf.SharedFiles;
import quamba.udf.checkpoint.Checkpoint;

class ConvertCommandTest {
  @TempDir Path folder;

  @Test
  void torchArchiveBecomesACheckpoint() {
    Path model = SharedFiles.shared("models/torch/mamba2-g4-6m");
    Path output = folder.resolve("converted");
    JobRun run = JobRun.of("convert", "--input=" + model, "--output=" + output);
    assertEquals(Main.OK, run.exitCode(), run.err());
    assertTrue(run.out().contains(" tensors, "), run.out());
    try (Checkpoint checkpoint = Checkpoint.open(output)) {
      assertTrue(run.out().contains(checkpoint.names().size() + " tensors"), run.out());
    }
    JobRun again = JobRun.of("convert", "--input=" + model, "--output=" + output);
    assertEquals(Main.REFUSED, again.exitCode(), again.err());
  }

  @Test
  void whatIsNoArchiveIsRefused() throws IOException {
    Path file = Files.writeString(folder.resolve("pytorch_model.bin"), "no archive");
    Path output = folder.resolve("converted");
    JobRun run = JobRun.of("convert", "--input=" + file, "--output=" + output);
    assertEquals(Main.REFUSED, run.exitCode(), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
    assertFalse(Files.exists(output));
  }
}
