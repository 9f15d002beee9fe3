package quamba.udf.checkpoint;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;

/**
 * Writes one safetensors file; {@link Safetensors} says the format. All tensors are declared first,
 * then written one at a time in any order, so none needs to stay in memory. The bytes depend only
 * on names, specs and elements: wider elements lie first and names order the rest, which aligns
 * every tensor without gaps. The file appears under its name when {@link #finish} returns, whole or
 * not at all.
 */
public final class SafetensorsWriter implements AutoCloseable {
  private static final int ALIGNMENT = 8;

  private final Path file;
  private final Path unfinished;
  private final FileChannel channel;
  private final Map<String, SafetensorsHeader.Entry> entries;
  private final long dataBegin;
  private final Set<String> missing;

  private SafetensorsWriter(
      Path file,
      Path unfinished,
      FileChannel channel,
      Map<String, SafetensorsHeader.Entry> entries,
      long dataBegin) {
    this.file = file;
    this.unfinished = unfinished;
    this.channel = channel;
    this.entries = entries;
    this.dataBegin = dataBegin;
    this.missing = new TreeSet<>(entries.keySet());
  }

  /**
   * Begins a file.
   *
   * @param metadata strings for {@code __metadata__}; none is written where it is empty
   * @param tensors all tensors of the file, by name
   * @throws IllegalArgumentException if a tensor has the name {@code __metadata__}
   * @throws UncheckedIOException if the folder cannot be written
   */
  public static SafetensorsWriter open(
      Path file, Map<String, String> metadata, Map<String, TensorSpec> tensors) {
    if (tensors.containsKey(SafetensorsHeader.METADATA)) {
      throw new IllegalArgumentException(
          "a tensor cannot have the name " + SafetensorsHeader.METADATA);
    }
    Map<String, SafetensorsHeader.Entry> entries = layOut(tensors);
    Path unfinished =
        file.resolveSibling(".%s.%s.tmp".formatted(file.getFileName(), UUID.randomUUID()));
    try {
      ByteBuffer header = header(metadata, entries);
      long dataBegin = header.remaining();
      FileChannel channel =
          FileChannel.open(unfinished, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
      SafetensorsWriter writer =
          new SafetensorsWriter(file, unfinished, channel, entries, dataBegin);
      try {
        writer.put(header, 0);
        return writer;
      } catch (UncheckedIOException e) {
        writer.close();
        throw e;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(file + ": cannot be written: " + e, e);
    }
  }

  /**
   * Writes a whole file of tensors that are in memory.
   *
   * @throws UncheckedIOException if it cannot be written
   */
  public static void writeAll(
      Path file, Map<String, String> metadata, Map<String, HostTensor> tensors) {
    Map<String, TensorSpec> specs = new TreeMap<>();
    tensors.forEach((name, tensor) -> specs.put(name, TensorSpec.of(tensor)));
    try (SafetensorsWriter writer = open(file, metadata, specs)) {
      tensors.forEach(writer::write);
      writer.finish();
    }
  }

  /**
   * Writes the elements of one tensor.
   *
   * @throws IllegalArgumentException if the tensor was not declared so, or was written before
   * @throws UncheckedIOException if the file cannot be written
   */
  public void write(String name, HostTensor tensor) {
    SafetensorsHeader.Entry entry = entries.get(name);
    if (entry == null || !entry.spec().equals(TensorSpec.of(tensor))) {
      throw new IllegalArgumentException(
          "%s: tensor '%s': expected %s, found %s"
              .formatted(file, name, entry == null ? "none" : entry.spec(), TensorSpec.of(tensor)));
    }
    if (!missing.remove(name)) {
      throw new IllegalArgumentException(
          "%s: tensor '%s' was written before".formatted(file, name));
    }
    put(tensor.data().duplicate(), dataBegin + entry.begin());
  }

  /**
   * Moves the file to its name, in place of one that is there.
   *
   * @throws IllegalStateException if a declared tensor was not written
   * @throws UncheckedIOException if the file cannot be written
   */
  public void finish() {
    if (!missing.isEmpty()) {
      throw new IllegalStateException(
          "%s: tensors were declared but not written: %s".formatted(file, missing));
    }
    try {
      channel.force(true);
      channel.close();
      Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new UncheckedIOException(file + ": cannot be written: " + e, e);
    }
  }

  /** Removes what was written, unless {@link #finish} returned. */
  @Override
  public void close() {
    try {
      channel.close();
      Files.deleteIfExists(unfinished);
    } catch (IOException e) {
      throw new UncheckedIOException(unfinished + ": cannot be removed: " + e, e);
    }
  }

  private void put(ByteBuffer bytes, long begin) {
    try {
      long position = begin;
      while (bytes.hasRemaining()) {
        position += channel.write(bytes, position);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(unfinished + ": cannot be written: " + e, e);
    }
  }

  private static Map<String, SafetensorsHeader.Entry> layOut(Map<String, TensorSpec> tensors) {
    List<Map.Entry<String, TensorSpec>> order =
        tensors.entrySet().stream()
            .sorted(
                Comparator.<Map.Entry<String, TensorSpec>, DType>comparing(
                        tensor -> tensor.getValue().dtype(),
                        Comparator.comparingInt(DType::bytes).reversed())
                    .thenComparing(Map.Entry::getKey))
            .toList();
    Map<String, SafetensorsHeader.Entry> entries = new LinkedHashMap<>();
    long begin = 0;
    for (Map.Entry<String, TensorSpec> tensor : order) {
      long end = begin + tensor.getValue().bytes();
      entries.put(tensor.getKey(), new SafetensorsHeader.Entry(tensor.getValue(), begin, end));
      begin = end;
    }
    return entries;
  }

  /** Length and JSON, padded with spaces so that the data begins at a multiple of the alignment. */
  private static ByteBuffer header(
      Map<String, String> metadata, Map<String, SafetensorsHeader.Entry> entries)
      throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(new byte[Long.BYTES]);
    try (JsonGenerator json = StrictJson.mapper().createGenerator(out)) {
      json.writeStartObject();
      if (!metadata.isEmpty()) {
        json.writePOJOField(SafetensorsHeader.METADATA, new TreeMap<>(metadata));
      }
      for (Map.Entry<String, SafetensorsHeader.Entry> tensor : entries.entrySet()) {
        TensorSpec spec = tensor.getValue().spec();
        json.writeObjectFieldStart(tensor.getKey());
        json.writeStringField("dtype", spec.dtype().name());
        json.writeArrayFieldStart("shape");
        for (int axis = 0; axis < spec.shape().rank(); axis++) {
          json.writeNumber(spec.shape().dim(axis));
        }
        json.writeEndArray();
        json.writeArrayFieldStart("data_offsets");
        json.writeNumber(tensor.getValue().begin());
        json.writeNumber(tensor.getValue().end());
        json.writeEndArray();
        json.writeEndObject();
      }
      json.writeEndObject();
    }
    while (out.size() % ALIGNMENT != 0) {
      out.write(' ');
    }
    byte[] bytes = out.toByteArray();
    ByteBuffer header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    header.putLong(0, bytes.length - Long.BYTES);
    return header;
  }
}
