package quamba.udf.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;

class SafetensorsTest {
  private static final int FLIPS = 5_000;

  @TempDir Path dir;

  @Test
  void everyTypeAndShapeIsReadAsWritten() {
    Map<String, HostTensor> tensors = new TreeMap<>();
    for (DType dtype : DType.values()) {
      tensors.put("scalar " + dtype, bytes(dtype, Shape.of()));
      tensors.put("ünïcode \"" + dtype + "\"", bytes(dtype, Shape.of(3, 1, 5)));
      tensors.put("empty " + dtype, bytes(dtype, Shape.of(0, 7)));
    }
    Map<String, String> metadata = Map.of("format", "pt", "scheme", "w4a8");
    Path file = dir.resolve("a.safetensors");
    SafetensorsWriter.writeAll(file, metadata, tensors);
    try (Safetensors read = Safetensors.open(file)) {
      assertEquals(metadata, read.metadata());
      assertEquals(tensors.keySet(), read.names());
      tensors.forEach(
          (name, tensor) -> {
            assertEquals(TensorSpec.of(tensor), read.spec(name));
            assertEquals(TensorSpec.of(tensor), TensorSpec.of(read.tensor(name)));
            assertEquals(tensor.data(), read.tensor(name).data());
            assertTrue(read.tensor(name).data().isReadOnly());
          });
    }
  }

  @Test
  void bytesDependNeitherOnTheOrderOfDeclarationNorOfWriting() throws IOException {
    Map<String, HostTensor> tensors = new TreeMap<>();
    tensors.put("a", bytes(DType.I8, Shape.of(3)));
    tensors.put("b", bytes(DType.F32, Shape.of(2)));
    tensors.put("c", bytes(DType.F16, Shape.of(5)));
    Path first = dir.resolve("first");
    SafetensorsWriter.writeAll(first, Map.of("x", "1", "a", "2"), tensors);
    Map<String, TensorSpec> specs = new LinkedHashMap<>();
    for (String name : List.of("c", "a", "b")) {
      specs.put(name, TensorSpec.of(tensors.get(name)));
    }
    Path second = dir.resolve("second");
    try (SafetensorsWriter writer =
        SafetensorsWriter.open(second, Map.of("a", "2", "x", "1"), specs)) {
      for (String name : List.of("b", "c", "a")) {
        writer.write(name, tensors.get(name));
      }
      writer.finish();
    }
    assertArrayEquals(Files.readAllBytes(first), Files.readAllBytes(second));
    String expected =
        "{\"__metadata__\":{\"a\":\"2\",\"x\":\"1\"},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            + "\"c\":{\"dtype\":\"F16\",\"shape\":[5],\"data_offsets\":[8,18]},"
            + "\"a\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[18,21]}}";
    ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(first)).order(ByteOrder.LITTLE_ENDIAN);
    byte[] header = new byte[(int) file.getLong()];
    file.get(header);
    assertEquals(expected, new String(header, StandardCharsets.UTF_8).stripTrailing());
    assertEquals(0, file.position() % 8);
  }

  @Test
  void writerKeepsToWhatWasDeclaredAndLeavesNothingUnfinished() throws IOException {
    HostTensor tensor = bytes(DType.I8, Shape.of(3));
    Map<String, TensorSpec> specs = Map.of("a", TensorSpec.of(tensor), "b", TensorSpec.of(tensor));
    Path file = dir.resolve("a.safetensors");
    try (SafetensorsWriter writer = SafetensorsWriter.open(file, Map.of(), specs)) {
      writer.write("a", tensor);
      assertThrows(IllegalArgumentException.class, () -> writer.write("a", tensor));
      assertThrows(IllegalArgumentException.class, () -> writer.write("c", tensor));
      HostTensor longer = bytes(DType.I8, Shape.of(4));
      assertThrows(IllegalArgumentException.class, () -> writer.write("b", longer));
      assertThrows(IllegalStateException.class, writer::finish);
    }
    assertThrows(
        IllegalArgumentException.class,
        () ->
            SafetensorsWriter.open(file, Map.of(), Map.of("__metadata__", TensorSpec.of(tensor))));
    try (Stream<Path> left = Files.list(dir)) {
      assertEquals(List.of(), left.toList());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{'x':[F32;2;0,8]} | 7 | tensor 'x' ends at byte 8 of the data, found only 7 bytes",
        "{'x':[F32;2;0,8]} | 9 | expected 8 bytes of data, found 9",
        "{'x':[F32;2;0,7]} | 7 | tensor 'x': data_offsets [0, 7]: expected 8 bytes for F32 (2)",
        "{'x':[F16;2;0,8]} | 8 | tensor 'x': data_offsets [0, 8]: expected 4 bytes for F16 (2)",
        "{'x':[F32;2;8,0]} | 8 | tensor 'x': data_offsets [8, 0]: expected 8 bytes",
        "{'x':[F32;2;-8,0]} | 8 | tensor 'x': data_offsets [-8, 0]: expected 8 bytes",
        "{'x':[F32;2;0,8],'y':[F32;2;4,12]} | 12 | tensor 'y': overlaps another: expected it to",
        "{'x':[F32;2;0,8],'y':[F32;2;12,20]} | 20 | tensor 'y': leaves a gap: expected it to",
        "{'x':[F32;2;0,8],'x':[F32;2;8,16]} | 16 | Duplicate field 'x'",
        "{'x':[Q4;2;0,8]} | 8 | tensor 'x': dtype: expected one of [F64, F32",
        "{'x':[F8_E4M3;8;0,8]} | 8 | found 'F8_E4M3'",
        "{'x':[U8;-8;0,8]} | 8 | tensor 'x': shape [-8]: expected extents from 0",
        "{'x':[U8;2147483648,0;0,0]} | 0 | tensor 'x': shape [2147483648, 0]: expected extents",
        "{'x':[U8;2147483647,2147483647,2147483647;0,8]} | 8 | found more than a long holds",
        "{'x':[F32;65536,65536;0,8]} | 8 | tensor 'x': F32 [65536, 65536]: expected less than 2",
        "{'x':[U8;99999999999999999999;0,8]} | 8 | tensor 'x': no valid header: Numeric value",
        "{'x':[U8;8.0;0,8]} | 8 | tensor 'x': shape: expected VALUE_NUMBER_INT, found VALUE_NU",
        "{'x':[U8;8;0]} | 8 | tensor 'x': expected dtype, shape and data_offsets of two numbers",
        "{'x':[U8;8;0,8,8]} | 8 | tensor 'x': expected dtype, shape and data_offsets of two",
        "{'x':{'dtype':'U8','shape':[8],'data_offsets':[0,8],'z':1}} | 8 | found 'z'",
        "{'x':{'dtype':'U8','data_offsets':[0,8]}} | 8 | tensor 'x': expected dtype, shape and",
        "{'x':{'dtype':8}} | 8 | tensor 'x': dtype: expected VALUE_STRING, found VALUE_NUMBER",
        "{'x':7} | 0 | tensor 'x': its entry: expected START_OBJECT, found VALUE_NUMBER_INT",
        "{'__metadata__':{'a':1}} | 0 | __metadata__ 'a': expected VALUE_STRING, found",
        "{'x':[U8;1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1;0,1]} | 1 | expected at most 16 numbers",
        "{'x':[U8;8;0,8]}{} | 8 | expected nothing after",
        "{'x':[U8;8;0,8] | 8 | no valid header",
        "` {}` | 0 | expected a header that begins with {",
        "[] | 0 | expected a header that begins with {",
        "`` | 0 | expected a header that begins with {"
      })
  void damagedHeaderIsRefusedByWhatIsWrong(String shorthand, int dataBytes, String reason)
      throws IOException {
    String json =
        shorthand
            .replaceAll(
                "\\[(\\w+);([-\\d.,]*);([-\\d,]*)\\]",
                "{'dtype':'$1','shape':[$2],'data_offsets':[$3]}")
            .replace('\'', '"');
    Path file = write(json.getBytes(StandardCharsets.UTF_8), new byte[dataBytes]);
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> Safetensors.open(file));
    assertTrue(refusal.getMessage().contains(reason), refusal.getMessage());
    assertTrue(refusal.getMessage().startsWith(file.toString()), refusal.getMessage());
  }

  @Test
  void headerThatIsNoUtf8IsRefused() throws IOException {
    for (byte[] header :
        List.of(
            "{}".getBytes(StandardCharsets.UTF_16LE),
            "{\"é\":1}".getBytes(StandardCharsets.ISO_8859_1))) {
      Path file = write(header, new byte[0]);
      assertThrows(InvalidCheckpointException.class, () -> Safetensors.open(file));
    }
  }

  @Test
  void headerOfCountlessEntriesIsRefused() throws IOException {
    String entries =
        IntStream.range(0, 100_001)
            .mapToObj(key -> "\"%d\":\"\"".formatted(key))
            .collect(Collectors.joining(","));
    String header = "{\"__metadata__\":{" + entries + "}}";
    Path file = write(header.getBytes(StandardCharsets.UTF_8), new byte[0]);
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> Safetensors.open(file));
    assertTrue(refusal.getMessage().contains("at most 100000 entries"), refusal.getMessage());
  }

  @Test
  void headerLengthIsHeldToFileAndFormat() throws IOException {
    for (long length : new long[] {3, 100, 100_000_001, 1L << 31, 1L << 40, Long.MAX_VALUE, -1}) {
      Path file = dir.resolve("length");
      ByteBuffer bytes = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN);
      Files.write(file, bytes.putLong(length).put((byte) '{').put((byte) '}').array());
      InvalidCheckpointException refusal =
          assertThrows(InvalidCheckpointException.class, () -> Safetensors.open(file));
      assertTrue(
          refusal.getMessage().contains("at most 2 bytes, found length"), refusal.getMessage());
    }
  }

  @Test
  void tensorOfTwoGibibytesIsRefusedByName() throws IOException {
    String header =
        "{\"big\":{\"dtype\":\"F16\",\"shape\":[1024,1048576],\"data_offsets\":[0,2147483648]}}";
    Path file = write(header.getBytes(StandardCharsets.UTF_8), new byte[0]);
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(sparse.length() + (1L << 31));
    }
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> Safetensors.open(file));
    assertTrue(
        refusal
            .getMessage()
            .contains("tensor 'big': F16 [1024, 1048576]: expected less than 2 GiB"),
        refusal.getMessage());
  }

  @Test
  void tensorBeyondTwoGibibytesOfFileIsRead() throws IOException {
    String header =
        "{\"hole\":{\"dtype\":\"U8\",\"shape\":[2147483647],\"data_offsets\":[0,2147483647]},"
            + "\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2147483647,2147483649]}}";
    Path file = write(header.getBytes(StandardCharsets.UTF_8), new byte[0]);
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.seek(sparse.length() + Integer.MAX_VALUE);
      sparse.write(new byte[] {7, 8});
    }
    try (Safetensors read = Safetensors.open(file)) {
      assertEquals(ByteBuffer.wrap(new byte[] {7, 8}), read.tensor("x").data());
      assertEquals(Integer.MAX_VALUE, read.tensor("hole").data().remaining());
    }
  }

  @Test
  void fileCutAnywhereIsRefused() throws IOException {
    byte[] whole = Files.readAllBytes(valid());
    for (int length = 0; length < whole.length; length++) {
      Path file = dir.resolve("cut");
      Files.write(file, Arrays.copyOf(whole, length));
      InvalidCheckpointException refusal =
          assertThrows(InvalidCheckpointException.class, () -> Safetensors.open(file));
      assertTrue(refusal.getMessage().startsWith(file.toString()), refusal.getMessage());
    }
  }

  @Test
  void flippedBytesAreReadOrRefused() throws IOException {
    byte[] whole = Files.readAllBytes(valid());
    Random random = new Random(20_250_607);
    Path file = dir.resolve("flipped");
    int refused = 0;
    for (int flip = 0; flip < FLIPS; flip++) {
      byte[] damaged = whole.clone();
      for (int count = random.nextInt(3); count >= 0; count--) {
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
      }
      Files.deleteIfExists(file);
      Files.write(file, damaged);
      try (Safetensors read = Safetensors.open(file)) {
        read.names().forEach(read::tensor);
      } catch (InvalidCheckpointException e) {
        assertTrue(e.getMessage().startsWith(file.toString()), e.getMessage());
        refused++;
      }
    }
    assertTrue(refused > FLIPS / 2, refused + " of " + FLIPS + " were refused");
  }

  private Path valid() {
    Map<String, HostTensor> tensors = new TreeMap<>();
    tensors.put("backbone.embedding.weight", bytes(DType.F16, Shape.of(4, 3)));
    tensors.put("backbone.layers.0.mixer.D", bytes(DType.F32, Shape.of(2)));
    tensors.put("codes", bytes(DType.I8, Shape.of(5)));
    Path file = dir.resolve("valid");
    SafetensorsWriter.writeAll(file, Map.of("format", "pt"), tensors);
    return file;
  }

  private Path write(byte[] header, byte[] data) throws IOException {
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + header.length + data.length).order(ByteOrder.LITTLE_ENDIAN);
    Path file = dir.resolve("written");
    return Files.write(file, bytes.putLong(header.length).put(header).put(data).array());
  }

  /** A tensor of the bytes 1, 2, 3, …. */
  private static HostTensor bytes(DType dtype, Shape shape) {
    byte[] data = new byte[(int) shape.elements() * dtype.bytes()];
    for (int at = 0; at < data.length; at++) {
      data[at] = (byte) (at + 1);
    }
    return new HostTensor(dtype, shape, ByteBuffer.wrap(data));
  }
}
