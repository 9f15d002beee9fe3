package quamba.udf;

import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import quamba.kernels.Backend;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelLoader;
import quamba.udf.tokenizer.HuggingFaceTokenizer;
import quamba.udf.tokenizer.Tokenizer;

/**
 * A model on its way to executors: its two texts are broadcast, its tensors too, in pieces, or
 * found by a path that every executor can see. The same model has the same {@link #id} either way,
 * and what an executor reads is checked against it.
 *
 * @param name of the model's folder
 * @param id SHA-256 of everything in the model, in hexadecimal digits
 * @param texts the two texts
 * @param tensors where the tensors are
 */
public record Weights(String name, String id, Broadcast<Texts> texts, Tensors tensors)
    implements Serializable {
  /** Spark copies a broadcast object in one go, so none is larger than this. */
  static final int PIECE_BYTES = 64 << 20;

  private static final String TOKENIZER = "tokenizer.json";

  /**
   * The texts of a model.
   *
   * @param config {@code config.json}
   * @param tokenizer {@code tokenizer.json}
   */
  record Texts(String config, String tokenizer) implements Serializable {}

  /** Where an executor finds the tensors. */
  sealed interface Tensors extends Serializable {
    WeightsLayout layout();
  }

  /** In pieces that the driver broadcast. */
  record Pieces(WeightsLayout layout, List<Broadcast<byte[]>> pieces) implements Tensors {}

  /** In a folder that executors see under the same name. */
  record Folder(WeightsLayout layout, String path) implements Tensors {}

  /** The tensors on an executor; invalid once this is closed. */
  record Opened(TensorSource source, Runnable release) implements AutoCloseable {
    @Override
    public void close() {
      release.run();
    }
  }

  /** A model's folder as the driver has opened it. */
  public record Origin(Path folder, Checkpoint checkpoint, String tokenizer)
      implements AutoCloseable {
    /**
     * Opens a folder and checks all of it, so that executors need not find out.
     *
     * @throws InvalidCheckpointException naming what is wrong
     */
    public static Origin open(Path folder) {
      Checkpoint checkpoint = Checkpoint.open(folder);
      try {
        ModelConfig config = ModelLoader.check(checkpoint);
        String tokenizer = Files.readString(folder.resolve(TOKENIZER));
        try (Tokenizer opened = HuggingFaceTokenizer.open(bytes(tokenizer))) {
          if (opened.vocabulary() > config.vocabulary().size()) {
            throw new InvalidCheckpointException(
                "%s: expected at most the %d ids of the model, found %d"
                    .formatted(TOKENIZER, config.vocabulary().size(), opened.vocabulary()));
          }
        }
        return new Origin(folder, checkpoint, tokenizer);
      } catch (IOException e) {
        checkpoint.close();
        throw new InvalidCheckpointException(folder.resolve(TOKENIZER) + ": cannot be read", e);
      } catch (RuntimeException e) {
        checkpoint.close();
        throw e;
      }
    }

    /** SHA-256 of everything in the model, in hexadecimal digits. */
    public String id() {
      return WeightsLayout.cut(checkpoint, PIECE_BYTES, piece -> {})
          .id(checkpoint.config(), tokenizer);
    }

    private Weights weights(JavaSparkContext spark, Tensors tensors) {
      String config = checkpoint.config();
      return new Weights(
          folder.toAbsolutePath().normalize().getFileName().toString(),
          tensors.layout().id(config, tokenizer),
          spark.broadcast(new Texts(config, tokenizer)),
          tensors);
    }

    @Override
    public void close() {
      checkpoint.close();
    }
  }

  /** Reads the checkpoint once, on the driver, and broadcasts it. */
  public static Weights broadcast(Origin origin, JavaSparkContext spark) {
    return broadcast(origin, spark, PIECE_BYTES);
  }

  static Weights broadcast(Origin origin, JavaSparkContext spark, int pieceBytes) {
    List<Broadcast<byte[]>> pieces = new ArrayList<>();
    WeightsLayout layout =
        WeightsLayout.cut(
            origin.checkpoint(), pieceBytes, piece -> pieces.add(spark.broadcast(piece)));
    return origin.weights(spark, new Pieces(layout, List.copyOf(pieces)));
  }

  /** Reads the checkpoint once, on the driver, for its digests; executors open the folder. */
  public static Weights folder(Origin origin, JavaSparkContext spark) {
    WeightsLayout layout = WeightsLayout.cut(origin.checkpoint(), PIECE_BYTES, piece -> {});
    return origin.weights(spark, new Folder(layout, origin.folder().toAbsolutePath().toString()));
  }

  /** The text of {@code config.json}. */
  String config() {
    return value(texts).config();
  }

  /** Opens the tokenizer. */
  Tokenizer openTokenizer() {
    return HuggingFaceTokenizer.open(bytes(value(texts).tokenizer()));
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /** For people, and for the meta column: the name, and the first digits of the digest. */
  public String label() {
    return name + "@" + id.substring(0, 12);
  }

  /**
   * The tensors, on an executor.
   *
   * @throws InvalidCheckpointException if they are not those that the driver read
   */
  Opened open() {
    if (tensors instanceof Folder folder) {
      return openFolder(folder);
    }
    Pieces broadcast = (Pieces) tensors;
    PieceReader reader = new PieceReader(config(), broadcast.layout(), broadcast.pieces());
    return new Opened(reader, reader::close);
  }

  /**
   * The model on a device; whoever asks closes it.
   *
   * @param threads that compute, where the device is the processor
   * @param vocab ids that exist
   * @throws InvalidCheckpointException as {@link #open} does
   */
  MambaModel load(String device, int threads, Capacity capacity, int vocab) {
    try (Opened opened = open()) {
      Backend backend = Backends.open(device, threads);
      try {
        return ModelLoader.open(opened.source(), backend, capacity, vocab);
      } catch (RuntimeException | Error e) {
        backend.close();
        throw e;
      }
    }
  }

  private Opened openFolder(Folder folder) {
    Checkpoint checkpoint = Checkpoint.open(Path.of(folder.path()));
    try {
      WeightsLayout found =
          WeightsLayout.cut(checkpoint, folder.layout().pieceBytes(), piece -> {});
      String foundId = found.id(checkpoint.config(), value(texts).tokenizer());
      if (!foundId.equals(id)) {
        throw new InvalidCheckpointException(
            "%s: not the model that the driver read there: SHA-256 expected %s, found %s"
                .formatted(folder.path(), id, foundId));
      }
      return new Opened(checkpoint, checkpoint::close);
    } catch (RuntimeException | Error e) {
      checkpoint.close();
      throw e;
    }
  }

  /**
   * What was broadcast, on an executor.
   *
   * @throws IllegalStateException if it cannot be fetched: Spark throws checked exceptions then,
   *     though no signature tells of them
   * @throws CancellationException if the task is killed meanwhile; its interrupt flag stays set
   */
  static <T> T value(Broadcast<T> broadcast) {
    try {
      return broadcast.value();
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      if (e instanceof InterruptedException) {
        Thread.currentThread().interrupt();
        throw new CancellationException("interrupted while a part of the model was fetched");
      }
      throw new IllegalStateException("a part of the model cannot be fetched: " + e, e);
    }
  }

  /** On the driver, when no task needs them any more: frees what was broadcast. */
  public void release() {
    texts.destroy();
    if (tensors instanceof Pieces broadcast) {
      broadcast.pieces().forEach(Broadcast::destroy);
    }
  }
}
