package quamba.udf;

import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.TensorSource;

/**
 * All tensors of a model as one row of bytes, cut into pieces: the same for the same model whatever
 * files it came from.
 *
 * @param entries tensors in the order of their bytes: by layer, so that a model that is opened
 *     layer by layer reads the pieces one after the other
 * @param pieceBytes size of every piece but the last
 * @param digests SHA-256 of each piece, in hexadecimal digits
 */
record WeightsLayout(List<Entry> entries, int pieceBytes, List<String> digests)
    implements Serializable {
  private static final Pattern LAYER = Pattern.compile("\\.layers\\.(\\d{1,6})\\.");

  /**
   * Where a tensor's bytes are.
   *
   * @param offset of its first byte, counted over all pieces
   */
  record Entry(String name, DType dtype, List<Integer> dims, long offset) implements Serializable {
    Shape shape() {
      return Shape.of(dims.stream().mapToInt(Integer::intValue).toArray());
    }

    int bytes() {
      return Math.toIntExact(Math.multiplyExact(shape().elements(), (long) dtype.bytes()));
    }
  }

  /** Reads every tensor once and hands each piece to {@code pieces} as an array of its own. */
  static WeightsLayout cut(TensorSource source, int pieceBytes, Consumer<byte[]> pieces) {
    Comparator<String> byLayer = Comparator.comparingInt(WeightsLayout::layer);
    List<String> names =
        source.names().stream().sorted(byLayer.thenComparing(Comparator.naturalOrder())).toList();
    List<Entry> entries = new ArrayList<>();
    Cutter cutter = new Cutter(pieceBytes, pieces);
    for (String name : names) {
      HostTensor tensor = source.tensor(name);
      List<Integer> dims = new ArrayList<>();
      for (int axis = 0; axis < tensor.shape().rank(); axis++) {
        dims.add(tensor.shape().dim(axis));
      }
      entries.add(new Entry(name, tensor.dtype(), List.copyOf(dims), cutter.total));
      cutter.add(tensor.data().duplicate());
    }
    cutter.flush();
    return new WeightsLayout(List.copyOf(entries), pieceBytes, List.copyOf(cutter.digests));
  }

  private static int layer(String name) {
    Matcher matcher = LAYER.matcher(name);
    return matcher.find() ? Integer.parseInt(matcher.group(1)) : -1;
  }

  /** SHA-256 of all tensors' names, types, shapes and bytes, and of the two texts. */
  String id(String config, String tokenizer) {
    return HexFormat.of().formatHex(Sha256.of(config, tokenizer, toString()));
  }

  /** Collects bytes until a piece is full. */
  private static final class Cutter {
    private final Consumer<byte[]> pieces;
    private final List<String> digests = new ArrayList<>();
    private ByteBuffer piece;
    private long total;

    Cutter(int pieceBytes, Consumer<byte[]> pieces) {
      this.pieces = pieces;
      this.piece = ByteBuffer.allocate(pieceBytes);
    }

    void add(ByteBuffer data) {
      total += data.remaining();
      while (data.hasRemaining()) {
        int count = Math.min(data.remaining(), piece.remaining());
        piece.put(data.slice(data.position(), count));
        data.position(data.position() + count);
        if (!piece.hasRemaining()) {
          flush();
        }
      }
    }

    void flush() {
      if (piece.position() > 0) {
        byte[] full = Arrays.copyOf(piece.array(), piece.position());
        digests.add(Sha256.hex(full, full.length));
        pieces.accept(full);
        piece.clear();
      }
    }
  }
}
