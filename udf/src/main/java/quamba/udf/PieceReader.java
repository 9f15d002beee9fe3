package quamba.udf;

import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.spark.SparkEnv;
import org.apache.spark.broadcast.Broadcast;
import quamba.kernels.HostTensor;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;

/**
 * Tensors out of broadcast pieces, one at a time into direct memory. At most {@link #HELD_PIECES}
 * pieces are on the heap: an executor forgets the others, and fetches again what is asked for once
 * more.
 */
final class PieceReader implements TensorSource {
  /** A tensor often begins in one piece and ends in the next; one more spares a second fetch. */
  static final int HELD_PIECES = 3;

  private static final String DRIVER = "driver"; // the executor id of the driver itself

  private final String config;
  private final WeightsLayout layout;
  private final List<Broadcast<byte[]>> pieces;
  private final Map<String, WeightsLayout.Entry> entries;
  private final Map<Integer, byte[]> held = new LinkedHashMap<>(16, 0.75f, true);

  PieceReader(String config, WeightsLayout layout, List<Broadcast<byte[]>> pieces) {
    this.config = config;
    this.layout = layout;
    this.pieces = pieces;
    this.entries =
        layout.entries().stream()
            .collect(Collectors.toMap(WeightsLayout.Entry::name, Function.identity()));
  }

  @Override
  public String config() {
    return config;
  }

  @Override
  public Set<String> names() {
    return entries.keySet();
  }

  @Override
  public HostTensor tensor(String name) {
    WeightsLayout.Entry entry = entries.get(name);
    if (entry == null) {
      throw new InvalidCheckpointException("no tensor " + name + " in the broadcast weights");
    }
    ByteBuffer data = ByteBuffer.allocateDirect(entry.bytes());
    while (data.hasRemaining()) {
      long at = entry.offset() + data.position();
      byte[] piece = piece(Math.toIntExact(at / layout.pieceBytes()));
      int from = Math.toIntExact(at % layout.pieceBytes());
      data.put(piece, from, Math.min(data.remaining(), piece.length - from));
    }
    return new HostTensor(entry.dtype(), entry.shape(), data.flip());
  }

  private byte[] piece(int index) {
    byte[] piece = held.get(index);
    if (piece == null) {
      piece = Weights.value(pieces.get(index));
      String found = Sha256.hex(piece, piece.length);
      if (!found.equals(layout.digests().get(index))) {
        throw new InvalidCheckpointException(
            "piece %d of the broadcast weights: SHA-256 expected %s, found %s"
                .formatted(index, layout.digests().get(index), found));
      }
      held.put(index, piece);
      if (held.size() > HELD_PIECES) {
        forget(held.keySet().iterator().next());
      }
    }
    return piece;
  }

  /** Frees a piece's blocks in this executor; the driver's own copy stays. */
  private void forget(int index) {
    held.remove(index);
    SparkEnv env = SparkEnv.get();
    if (env != null && !env.executorId().equals(DRIVER)) {
      env.blockManager().removeBroadcast(pieces.get(index).id(), true);
    }
  }

  void close() {
    List.copyOf(held.keySet()).forEach(this::forget);
  }
}
