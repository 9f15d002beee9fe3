package quamba.udf.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.SharedFiles;

class TorchArchiveTest {
  @TempDir Path dir;

  @Test
  void smallArchiveHasTheTensorsThatPyTorchSaved() {
    try (TorchArchive archive =
        TorchArchive.open(SharedFiles.shared("models/torch/hostile/small.bin"))) {
      assertEquals(List.of("a", "b", "c", "d"), List.copyOf(archive.names()));
      assertF32(archive.tensor("a"), Shape.of(3, 4), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
      assertF32(archive.tensor("b"), Shape.of(4, 3), 0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11);
      assertF32(archive.tensor("d"), Shape.of(2, 4), 4, 5, 6, 7, 16, 17, 18, 19);
      HostTensor c = archive.tensor("c");
      assertEquals(new TensorSpec(DType.BF16, Shape.of(5)), TensorSpec.of(c));
      for (int at = 0; at < 5; at++) {
        assertEquals(0x3F80, c.data().getShort(at * 2));
      }
    }
  }

  @Test
  void hostileArchivesAreRefusedByWhatIsWrong() {
    Map<String, String> reasons =
        Map.of(
            "os_system.bin", "'posix system'",
            "eval.bin", "'__builtin__ eval'",
            "truncated.bin", "expected a zip archive",
            "plain_pickle.bin", "expected a zip archive",
            "short_storage.bin", "tensor 'a': storage '0': expected 12 elements of F32, found 4",
            "huge_shape.bin", "tensor 'a': offset 0, shape [65535, 4], strides [4, 1]");
    reasons.forEach(
        (name, reason) -> {
          Path file = SharedFiles.shared("models/torch/hostile/" + name);
          InvalidCheckpointException refusal =
              assertThrows(InvalidCheckpointException.class, () -> TorchArchive.open(file));
          assertTrue(
              refusal.getMessage().contains(reason) && refusal.getMessage().contains(name),
              refusal.getMessage());
        });
    assertFalse(Files.exists(Path.of("pwned")));
    assertFalse(Files.exists(SharedFiles.root().resolve("pwned")));
  }

  @Test
  void convertedModelIsTheModel() {
    Path output = dir.resolve("converted");
    Conversion conversion =
        Conversion.convert(SharedFiles.shared("models/torch/mamba2-g4-6m"), output);
    try (Checkpoint converted = Checkpoint.open(output);
        Checkpoint original = Checkpoint.open(SharedFiles.shared("models/mamba2-g4-6m"))) {
      assertEquals(original.names(), converted.names());
      assertEquals(original.names().size(), conversion.tensors());
      for (String name : original.names()) {
        assertEquals(original.spec(name), converted.spec(name), name);
        assertEquals(original.tensor(name).data(), converted.tensor(name).data(), name);
      }
    }
  }

  private static void assertF32(HostTensor tensor, Shape shape, float... values) {
    assertEquals(new TensorSpec(DType.F32, shape), TensorSpec.of(tensor));
    float[] found = new float[values.length];
    tensor.data().asFloatBuffer().get(found);
    assertArrayEquals(values, found);
  }
}
