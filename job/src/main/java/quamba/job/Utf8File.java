package quamba.job;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;

/** A file of text that the driver reads whole: UTF-8, or gzip of it by the name. */
final class Utf8File {
  /** Unpacked; a tokenizer takes fewer characters at once. */
  private static final int BYTES_MAX = 256 << 20;

  private Utf8File() {}

  /**
   * The text of a file.
   *
   * @param flag that names it, for messages
   * @throws IllegalArgumentException if it is missing, damaged, too long or no UTF-8
   */
  static String read(String flag, String file) {
    byte[] bytes;
    try (InputStream stored = Files.newInputStream(Path.of(file));
        InputStream in = file.endsWith(".gz") ? new GZIPInputStream(stored) : stored) {
      bytes = in.readNBytes(BYTES_MAX + 1);
    } catch (FileNotFoundException | NoSuchFileException e) {
      throw new IllegalArgumentException(
          "%s: expected a file %s, found none".formatted(flag, file), e);
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "%s: %s cannot be read: %s".formatted(flag, file, e.getMessage()), e);
    }
    if (bytes.length > BYTES_MAX) {
      throw new IllegalArgumentException(
          "%s: %s: expected at most %d bytes, found more".formatted(flag, file, BYTES_MAX));
    }
    ByteBuffer in = ByteBuffer.wrap(bytes);
    CharBuffer out = CharBuffer.allocate(bytes.length);
    CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    CoderResult result = decoder.decode(in, out, true);
    if (result.isError()) {
      throw new IllegalArgumentException(
          "%s: %s: expected UTF-8, found other bytes at byte %d%s"
              .formatted(
                  flag, file, in.position(), file.endsWith(".gz") ? " of what is unpacked" : ""));
    }
    return out.flip().toString();
  }
}
