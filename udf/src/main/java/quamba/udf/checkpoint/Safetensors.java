package quamba.udf.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import quamba.kernels.HostTensor;

/**
 * One safetensors file, open for reading: 8 bytes little-endian header length, the JSON header, the
 * tensors without gap or overlap. Format: <a
 * href="https://github.com/huggingface/safetensors#format">huggingface/safetensors</a>. Tensors are
 * mapped one at a time, so no byte is copied and a file may be of any size.
 */
public final class Safetensors implements TensorFile {
  private static final int LENGTH_BYTES = 8;

  private final Path file;
  private final FileChannel channel;
  private final long dataBegin;
  private final SafetensorsHeader header;

  private Safetensors(Path file, FileChannel channel, long dataBegin, SafetensorsHeader header) {
    this.file = file;
    this.channel = channel;
    this.dataBegin = dataBegin;
    this.header = header;
  }

  /**
   * Opens a file and checks its whole header against its size.
   *
   * @throws InvalidCheckpointException if it cannot be read or is not as the format says
   */
  public static Safetensors open(Path file) {
    try {
      FileChannel channel = FileChannel.open(file);
      try {
        return read(file, channel);
      } catch (IOException | RuntimeException e) {
        channel.close();
        throw e;
      }
    } catch (IOException e) {
      throw new InvalidCheckpointException(file + ": cannot be read: " + e, e);
    }
  }

  private static Safetensors read(Path file, FileChannel channel) throws IOException {
    long fileBytes = channel.size();
    if (fileBytes < LENGTH_BYTES) {
      throw new InvalidCheckpointException(
          "%s: expected at least %d bytes, found %d".formatted(file, LENGTH_BYTES, fileBytes));
    }
    long headerBytes =
        channel
            .map(FileChannel.MapMode.READ_ONLY, 0, LENGTH_BYTES)
            .order(ByteOrder.LITTLE_ENDIAN)
            .getLong();
    long headerBytesMax = Math.min(SafetensorsHeader.BYTES_MAX, fileBytes - LENGTH_BYTES);
    if (headerBytes < 0 || headerBytes > headerBytesMax) {
      throw new InvalidCheckpointException(
          "%s: expected a header of at most %d bytes, found length %s"
              .formatted(file, headerBytesMax, Long.toUnsignedString(headerBytes)));
    }
    ByteBuffer json = channel.map(FileChannel.MapMode.READ_ONLY, LENGTH_BYTES, headerBytes);
    long dataBegin = LENGTH_BYTES + headerBytes;
    SafetensorsHeader header =
        SafetensorsHeader.parse(file.toString(), json, fileBytes - dataBegin);
    return new Safetensors(file, channel, dataBegin, header);
  }

  /** The strings of {@code __metadata__}; empty where the file has none. */
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(header.metadata());
  }

  @Override
  public Path file() {
    return file;
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(header.tensors().keySet());
  }

  @Override
  public TensorSpec spec(String name) {
    return entry(name).spec();
  }

  @Override
  public HostTensor tensor(String name) {
    SafetensorsHeader.Entry entry = entry(name);
    try {
      ByteBuffer data =
          channel.map(
              FileChannel.MapMode.READ_ONLY, dataBegin + entry.begin(), entry.spec().bytes());
      return new HostTensor(entry.spec().dtype(), entry.spec().shape(), data);
    } catch (IOException e) {
      throw new InvalidCheckpointException(
          "%s: tensor '%s': cannot be read: %s".formatted(file, name, e), e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new InvalidCheckpointException(file + ": cannot be closed: " + e, e);
    }
  }

  private SafetensorsHeader.Entry entry(String name) {
    SafetensorsHeader.Entry entry = header.tensors().get(name);
    if (entry == null) {
      throw new InvalidCheckpointException("%s: has no tensor '%s'".formatted(file, name));
    }
    return entry;
  }
}
