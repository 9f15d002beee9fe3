package quamba.udf.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.SharedFiles;

class TorchArchiveTest {
  private static final int FLIPS = 5_000;

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
        (name, reason) ->
            refused(SharedFiles.shared("models/torch/hostile/" + name), reason, name));
    assertFalse(Files.exists(Path.of("pwned")));
    assertFalse(Files.exists(SharedFiles.root().resolve("pwned")));
  }

  @Test
  void viewsParametersAndNestedDictionariesAreReadRowMajor() throws IOException {
    try (TorchArchive archive = TorchArchive.open(valid().write(dir.resolve("valid.bin")))) {
      assertEquals(
          List.of("whole", "part", "nested.integers", "nested.none", "scalar"),
          List.copyOf(archive.names()));
      assertF32(archive.tensor("whole"), Shape.of(2, 3), 1, 2, 3, 4, 5, 6);
      assertF32(archive.tensor("part"), Shape.of(3, 2), 1, 4, 2, 5, 3, 6);
      assertF32(archive.tensor("scalar"), Shape.of(), 6);
      assertEquals(new TensorSpec(DType.I64, Shape.of(1)), archive.spec("nested.integers"));
      assertEquals(-2, archive.tensor("nested.integers").data().getLong());
      assertEquals(0, archive.tensor("nested.none").data().remaining());
      assertThrows(InvalidCheckpointException.class, () -> archive.tensor("none"));
    }
  }

  @Test
  void bigEndianElementsAreTurned() throws IOException {
    TorchFixture fixture = new TorchFixture().op("}").text("x").vector("FloatStorage", "0", 2);
    byte[] big = ByteBuffer.allocate(8).putFloat(1.5f).putFloat(-2).array();
    fixture.op("s.").storage("0", big).record("byteorder", "big".getBytes(StandardCharsets.UTF_8));
    try (TorchArchive archive = TorchArchive.open(fixture.write(dir.resolve("big.bin")))) {
      assertF32(archive.tensor("x"), Shape.of(2), 1.5f, -2);
    }
    fixture.record("byteorder", "pdp".getBytes(StandardCharsets.UTF_8));
    refused(fixture, "byteorder: expected little or big, found 'pdp'");
  }

  @Test
  void viewsMustLieWithinTheirStorage() throws IOException {
    long max = Long.MAX_VALUE;
    view(0, new long[] {2, 3}, new long[] {3, 1}, "");
    view(6, new long[] {0, 3}, new long[] {3, 1}, "");
    view(7, new long[] {0, 3}, new long[] {3, 1}, "within the 6 elements of '0'");
    view(1, new long[] {2, 3}, new long[] {3, 1}, "offset 1, shape [2, 3], strides [3, 1]");
    view(-1, new long[] {2}, new long[] {1}, "offset -1");
    view(max, new long[] {2}, new long[] {1}, "offset 9223372036854775807");
    view(5, new long[] {2}, new long[] {-1}, "strides [-1]");
    view(0, new long[] {2}, new long[] {6}, "strides [6]");
    view(0, new long[] {3}, new long[] {max}, "strides [9223372036854775807]");
    view(0, new long[] {1 << 20}, new long[] {0}, "strides [0]");
    view(0, new long[] {1L << 40}, new long[] {0}, "expected extents from 0 to 2147483647");
    view(0, new long[] {-6}, new long[] {1}, "expected extents from 0 to 2147483647");
    view(0, new long[] {1 << 30, 1 << 30, 4}, new long[] {0, 0, 0}, "more than a long holds");
    view(0, new long[] {1 << 30}, new long[] {0}, "expected less than 2 GiB");
    view(0, new long[] {6}, new long[] {1, 1}, "expected a stride for each extent");
    view(0, new long[17], new long[17], "shape: expected at most 16 numbers, found 17");
  }

  @Test
  void storagesMustBeAsThePickleSays() throws IOException {
    TorchFixture fixture = new TorchFixture().op("}").text("x").vector("HalfStorage", "0", 6);
    fixture.op("s.");
    refused(fixture, "tensor 'x': expected the record 'data/0' in the archive, found none");
    for (int bytes : new int[] {0, 1, 11, 13, 24}) {
      fixture.storage("0", new byte[bytes]);
      refused(fixture, "storage '0': expected 6 elements of F16, found %d bytes".formatted(bytes));
    }
    fixture.record("constants.pkl", new byte[0]);
    refused(fixture, "found a TorchScript program");
  }

  @Test
  void valuesThatAreNoTensorsAreRefusedByName() throws IOException {
    refused(new TorchFixture().op("}").text("step").integer(7).op("s."), "'step': expected a");
    refused(
        new TorchFixture().op("}").text("m").op("}").text("lr").op("G\0\0\0\0\0\0\0\0ss."),
        "'m.lr': expected a tensor, found a number");
    refused(new TorchFixture().op("}").text("x").op("]]as."), "'x': expected a tensor, found a l");
    refused(new TorchFixture().op("}").text("x").op("Ns."), "'x': expected a tensor, found None");
    refused(new TorchFixture().op("N."), "expected a dictionary of tensors, found None");
    refused(new TorchFixture().op("}").integer(1).op("Ns."), "expected text as key of a dict");
    refused(
        new TorchFixture().op("}").text("x").op("Ns").text("x").op("Ns."),
        "expected a key once in its dictionary, found 'x' twice");
  }

  @Test
  void dictionariesWithinThemselvesEnd() throws IOException {
    refused(new TorchFixture().op("}").op('q', 0).text("x").op('h', 0).op("s."), "8 deep");
    TorchFixture bomb = new TorchFixture().op("}(").text("level 0").op("}").op('q', 0);
    for (int level = 1; level < 7; level++) {
      bomb.text("level " + level).op("}").op('q', level).op("(");
      for (int copy = 0; copy < 99; copy++) {
        bomb.text("k" + copy).op('h', level - 1);
      }
      bomb.op("u");
    }
    refused(bomb.op("u."), "1000000 values; found more");
    refused(
        new TorchFixture().op("}").text("x".repeat(4096)).op("}").text("x").op("Nss."),
        "names of 4096 characters");
  }

  @Test
  void compressedAndRepeatedEntriesAreRefused() throws IOException {
    Path file = dir.resolve("compressed.bin");
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
      zip.putNextEntry(new ZipEntry("archive/data.pkl"));
      zip.write(new byte[1000]);
    }
    refused(file, "entry 'archive/data.pkl': expected it stored as it is, found it compressed");
    byte[] twice =
        Files.readAllBytes(valid().record("data/9", new byte[8]).write(dir.resolve("twice.bin")));
    String text = new String(twice, StandardCharsets.ISO_8859_1);
    text = text.replace("archive/data/9", "archive/data/0");
    Files.write(file, text.getBytes(StandardCharsets.ISO_8859_1));
    refused(file, "expected an entry 'archive/data/0', found two");
    new TorchFixture().record("x/data.pkl", new byte[0]).op("}.").write(file);
    TorchArchive.open(file).close();
    Files.write(
        file,
        new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1)
            .replace("archive/x/data.pkl", "archive_x/data.pkl")
            .getBytes(StandardCharsets.ISO_8859_1));
    refused(
        file, "expected one folder with data.pkl, found [archive/data.pkl, archive_x/data.pkl]");
  }

  @Test
  void archiveBeyondFourGibibytesIsRead() throws IOException {
    long elements = 5L << 29; // of two bytes: 5 GiB
    TorchFixture fixture = new TorchFixture().op("}").text("x");
    fixture.tensor("HalfStorage", "0", elements, elements - 2, new long[] {2}, new long[] {1});
    Path file =
        ZipWithHole.write(dir.resolve("large.bin"), fixture.op("s.").pickle(), elements * 2);
    try (TorchArchive archive = TorchArchive.open(file)) {
      assertEquals(0x0201, archive.tensor("x").data().getShort(0));
      assertEquals(0x0403, archive.tensor("x").data().getShort(2));
    }
    try (RandomAccessFile cut = new RandomAccessFile(file.toFile(), "rw")) {
      cut.setLength(3L << 30);
    }
    refused(file, "expected a zip archive");
  }

  @Test
  void archiveCutAnywhereIsRefused() throws IOException {
    byte[] whole = Files.readAllBytes(valid().write(dir.resolve("whole.bin")));
    for (int length = 0; length < whole.length; length++) {
      Path file = dir.resolve("cut" + length);
      Files.write(file, Arrays.copyOf(whole, length));
      refused(file, file.toString());
    }
  }

  @Test
  void flippedBytesAreReadOrRefused() throws IOException {
    byte[] whole = Files.readAllBytes(valid().write(dir.resolve("whole.bin")));
    Random random = new Random(20_250_607);
    Path file = dir.resolve("flipped.bin");
    int refused = 0;
    for (int flip = 0; flip < FLIPS; flip++) {
      byte[] damaged = whole.clone();
      for (int count = random.nextInt(3); count >= 0; count--) {
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
      }
      Files.deleteIfExists(file);
      Files.write(file, damaged);
      try (TorchArchive read = TorchArchive.open(file)) {
        read.names().forEach(read::tensor);
      } catch (InvalidCheckpointException e) {
        assertTrue(e.getMessage().startsWith(file.toString()), e.getMessage());
        refused++;
      }
    }
    assertTrue(refused > FLIPS / 3, refused + " of " + FLIPS + " were refused");
  }

  /** Two F32 views of one storage, I64, an empty tensor, a scalar; an OrderedDict with versions. */
  private static TorchFixture valid() {
    TorchFixture fixture = new TorchFixture().global("collections OrderedDict").op(")R(");
    fixture.text("whole").tensor("FloatStorage", "0", 6, 0, new long[] {2, 3}, new long[] {3, 1});
    fixture.text("part").global("torch._utils _rebuild_parameter").op("(");
    fixture.tensor("FloatStorage", "0", 6, 0, new long[] {3, 2}, new long[] {1, 3});
    fixture.op(0x88).global("collections OrderedDict").op(")RtR").text("nested").op("}(");
    fixture.text("integers").vector("LongStorage", "1", 1);
    fixture.text("none").vector("CharStorage", "2", 0).op("u");
    fixture.text("scalar").tensor("FloatStorage", "0", 6, 5, new long[0], new long[0]).op("u");
    fixture.op("}").text("_metadata").global("collections OrderedDict").op(")R");
    fixture.text("").op("}").text("version").integer(1).op("sssb.");
    fixture.storage("0", TorchFixture.f32(1, 2, 3, 4, 5, 6));
    fixture.storage("1", new byte[] {-2, -1, -1, -1, -1, -1, -1, -1});
    fixture.record("byteorder", "little".getBytes(StandardCharsets.UTF_8));
    return fixture.storage("2", new byte[0]).record("version", new byte[] {'3', '\n'});
  }

  /** Expects a view of six elements to be read, where the reason is empty, or to be refused. */
  private void view(long offset, long[] shape, long[] strides, String reason) throws IOException {
    TorchFixture fixture = new TorchFixture().op("}").text("x");
    fixture.tensor("FloatStorage", "0", 6, offset, shape, strides).op("s.");
    fixture.storage("0", TorchFixture.f32(1, 2, 3, 4, 5, 6));
    if (reason.isEmpty()) {
      try (TorchArchive archive = TorchArchive.open(fixture.write(dir.resolve("view.bin")))) {
        archive.tensor("x");
      }
    } else {
      refused(fixture, reason);
    }
  }

  private void refused(TorchFixture fixture, String reason) throws IOException {
    refused(fixture.write(dir.resolve("refused.bin")), reason);
  }

  private static void refused(Path file, String... reasons) {
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> TorchArchive.open(file));
    for (String reason : reasons) {
      assertTrue(refusal.getMessage().contains(reason), refusal.getMessage());
    }
  }

  private static void assertF32(HostTensor tensor, Shape shape, float... values) {
    assertEquals(new TensorSpec(DType.F32, shape), TensorSpec.of(tensor));
    float[] found = new float[values.length];
    tensor.data().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(found);
    assertArrayEquals(values, found);
  }
}
