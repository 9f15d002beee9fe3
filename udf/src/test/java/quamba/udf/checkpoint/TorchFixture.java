package quamba.udf.checkpoint;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Writes PyTorch archives for tests, opcode by opcode, whether valid or not. */
final class TorchFixture {
  private final ByteArrayOutputStream pickle = new ByteArrayOutputStream();
  private final Map<String, byte[]> records = new LinkedHashMap<>();

  /** An archive whose pickle has only begun. */
  TorchFixture() {
    op(0x80, 2);
  }

  /** Appends opcodes and their single-byte arguments. */
  TorchFixture op(int... bytes) {
    for (int next : bytes) {
      pickle.write(next);
    }
    return this;
  }

  /** Appends opcodes without arguments, by their characters. */
  TorchFixture op(String opcodes) {
    pickle.writeBytes(opcodes.getBytes(StandardCharsets.ISO_8859_1));
    return this;
  }

  /** Appends text (BINUNICODE). */
  TorchFixture text(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    op("X");
    pickle.writeBytes(little(4).putInt(bytes.length).array());
    pickle.writeBytes(bytes);
    return this;
  }

  /** Appends an integer: BININT where it fits, LONG1 otherwise. */
  TorchFixture integer(long value) {
    if (value == (int) value) {
      op("J");
      pickle.writeBytes(little(4).putInt((int) value).array());
    } else {
      op(0x8A, 8);
      pickle.writeBytes(little(8).putLong(value).array());
    }
    return this;
  }

  /** Appends a name (GLOBAL), for example {@code torch FloatStorage}. */
  TorchFixture global(String name) {
    return op("c").op(name.replace(' ', '\n') + "\n");
  }

  /** Appends a tuple of integers. */
  TorchFixture tuple(long... values) {
    op("(");
    Arrays.stream(values).forEach(this::integer);
    return op("t");
  }

  /** Appends a call that rebuilds a tensor. */
  TorchFixture tensor(
      String type, String key, long elements, long offset, long[] shape, long[] strides) {
    global("torch._utils _rebuild_tensor_v2").op("((").text("storage").global("torch " + type);
    text(key).text("cpu").integer(elements).op("tQ").integer(offset).tuple(shape).tuple(strides);
    return op(0x89).global("collections OrderedDict").op(")RtR");
  }

  /** Appends a call that rebuilds a row-major tensor of a whole storage. */
  TorchFixture vector(String type, String key, long elements) {
    return tensor(type, key, elements, 0, new long[] {elements}, new long[] {1});
  }

  /** Adds a storage. */
  TorchFixture storage(String key, byte[] bytes) {
    return record("data/" + key, bytes);
  }

  /** Adds a record of any name. */
  TorchFixture record(String name, byte[] bytes) {
    records.put(name, bytes);
    return this;
  }

  /** The pickle so far. */
  byte[] pickle() {
    return pickle.toByteArray();
  }

  /** Writes the archive. */
  Path write(Path file) throws IOException {
    Map<String, byte[]> all = new LinkedHashMap<>(Map.of("data.pkl", pickle()));
    all.putAll(records);
    Files.deleteIfExists(file);
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
      for (Map.Entry<String, byte[]> record : all.entrySet()) {
        CRC32 crc = new CRC32();
        crc.update(record.getValue());
        ZipEntry entry = new ZipEntry("archive/" + record.getKey());
        entry.setMethod(ZipEntry.STORED);
        entry.setSize(record.getValue().length);
        entry.setCrc(crc.getValue());
        zip.putNextEntry(entry);
        zip.write(record.getValue());
      }
    }
    return file;
  }

  /** Little-endian F32 elements. */
  static byte[] f32(float... values) {
    byte[] bytes = new byte[values.length * Float.BYTES];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(values);
    return bytes;
  }

  private static ByteBuffer little(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
