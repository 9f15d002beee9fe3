package quamba.udf.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Writes a PyTorch archive in zip64 with a storage of any size, which the file system keeps as a
 * hole: zeros, but for the last bytes, 1 to 4. Format: PKWARE's APPNOTE 4.3 and 4.5.3.
 */
final class ZipWithHole {
  private static final int UNSET = -1; // the number is in the zip64 record

  private ZipWithHole() {}

  static Path write(Path file, byte[] pickle, long storageBytes) throws IOException {
    try (FileChannel out =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.WRITE,
            StandardOpenOption.SPARSE)) {
      put(out, local("archive/data/0", storageBytes));
      out.position(out.position() + storageBytes - 4);
      put(out, buffer(4).put(new byte[] {1, 2, 3, 4}));
      long pickleBegin = out.position();
      put(out, local("archive/data.pkl", pickle.length));
      put(out, buffer(pickle.length).put(pickle));
      long directory = out.position();
      put(out, central("archive/data/0", storageBytes, 0));
      put(out, central("archive/data.pkl", pickle.length, pickleBegin));
      long end = out.position();
      ByteBuffer tail = buffer(98).putInt(0x06064b50).putLong(44).putShort((short) 45);
      tail.putShort((short) 45).putInt(0).putInt(0).putLong(2).putLong(2);
      tail.putLong(end - directory).putLong(directory);
      tail.putInt(0x07064b50).putInt(0).putLong(end).putInt(1);
      tail.putInt(0x06054b50).putInt(0).putInt(UNSET).putInt(UNSET).putInt(UNSET);
      put(out, tail.putShort((short) 0));
    }
    return file;
  }

  private static ByteBuffer local(String name, long bytes) {
    ByteBuffer header = buffer(30 + name.length() + 20).putInt(0x04034b50).putShort((short) 45);
    header.putInt(0).putInt(0).putInt(0).putInt(UNSET).putInt(UNSET);
    header.putShort((short) name.length()).putShort((short) 20);
    header.put(name.getBytes(StandardCharsets.US_ASCII));
    return header.putShort((short) 1).putShort((short) 16).putLong(bytes).putLong(bytes);
  }

  private static ByteBuffer central(String name, long bytes, long begin) {
    ByteBuffer header = buffer(46 + name.length() + 28).putInt(0x02014b50).putInt(45 << 16 | 45);
    header.putInt(0).putInt(0).putInt(0).putInt(UNSET).putInt(UNSET);
    header.putShort((short) name.length()).putShort((short) 28).putShort((short) 0);
    header.putShort((short) 0).putShort((short) 0).putInt(0).putInt(UNSET);
    header.put(name.getBytes(StandardCharsets.US_ASCII)).putShort((short) 1).putShort((short) 24);
    return header.putLong(bytes).putLong(bytes).putLong(begin);
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static void put(FileChannel out, ByteBuffer bytes) throws IOException {
    if (bytes.hasRemaining()) {
      throw new IllegalStateException(bytes.remaining() + " bytes too few");
    }
    bytes.flip();
    while (bytes.hasRemaining()) {
      out.write(bytes);
    }
  }
}
