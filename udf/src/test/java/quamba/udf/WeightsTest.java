package quamba.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.HostTensor;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import scala.reflect.ClassTag$;

class WeightsTest {
  private static final Path MODEL = SharedFiles.root().resolve("job/src/demo/mamba2-5m");

  private static JavaSparkContext spark;
  @TempDir Path folder;

  @BeforeAll
  static void start() {
    spark =
        new JavaSparkContext(
            new SparkConf()
                .setMaster("local[1]")
                .setAppName("weights")
                .set("spark.ui.enabled", "false"));
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static void assertSameTensors(TensorSource expected, TensorSource found) {
    assertEquals(expected.names(), found.names());
    assertEquals(expected.config(), found.config());
    for (String name : expected.names()) {
      HostTensor tensor = expected.tensor(name);
      assertEquals(tensor.dtype(), found.tensor(name).dtype(), name);
      assertEquals(tensor.shape(), found.tensor(name).shape(), name);
      assertEquals(tensor.data(), found.tensor(name).data(), name);
      assertTrue(found.tensor(name).data().isDirect());
    }
  }

  @Test
  void piecesAreTheCheckpoint() {
    try (Weights.Origin origin = Weights.Origin.open(MODEL)) {
      // Many tensors begin in one piece and end in another, the largest spans nine.
      Weights weights = Weights.broadcast(origin, spark, 500_000);
      Weights.Pieces pieces = (Weights.Pieces) weights.tensors();
      assertEquals(23, pieces.pieces().size());
      try (Weights.Opened opened = weights.open()) {
        assertSameTensors(origin.checkpoint(), opened.source());
        assertThrows(
            InvalidCheckpointException.class, () -> opened.source().tensor("no such tensor"));
      }
      assertTrue(weights.label().matches("mamba2-5m@[0-9a-f]{12}"), weights.label());
      weights.release();
    }
  }

  @Test
  void damagedPieceIsRefused() {
    try (Weights.Origin origin = Weights.Origin.open(MODEL)) {
      Weights weights = Weights.broadcast(origin, spark);
      Weights.Pieces pieces = (Weights.Pieces) weights.tensors();
      byte[] piece = pieces.pieces().get(0).value().clone();
      piece[1234]++;
      Weights damaged =
          new Weights(
              weights.name(),
              weights.id(),
              weights.texts(),
              new Weights.Pieces(pieces.layout(), List.of(spark.broadcast(piece))));
      try (Weights.Opened opened = damaged.open()) {
        String name = opened.source().names().iterator().next();
        InvalidCheckpointException refusal =
            assertThrows(InvalidCheckpointException.class, () -> opened.source().tensor(name));
        assertTrue(refusal.getMessage().startsWith("piece 0 of the broadcast weights: SHA-256"));
      }
    }
  }

  @Test
  void folderHasTheSameIdAndIsChecked() throws IOException {
    Path copy = Files.createDirectories(folder.resolve("mamba2-5m"));
    try (Stream<Path> files = Files.list(MODEL)) {
      for (Path file : files.toList()) {
        Files.copy(file, copy.resolve(file.getFileName()));
      }
    }
    String id;
    Weights weights;
    try (Weights.Origin origin = Weights.Origin.open(copy)) {
      id = Weights.broadcast(origin, spark).id();
      weights = Weights.folder(origin, spark);
      assertEquals(id, weights.id());
      try (Weights.Opened opened = weights.open()) {
        assertEquals(origin.checkpoint().names(), opened.source().names());
      }
    }
    Path tensors = copy.resolve("model.safetensors");
    Weights lost =
        new Weights(
            weights.name(),
            id,
            new LostBroadcast<>(Weights.Texts.class, new IOException("lost")),
            weights.tensors());
    assertThrows(IllegalStateException.class, lost::open);
    assertClosed(tensors);
    try (var channel = Files.newByteChannel(tensors, StandardOpenOption.WRITE)) {
      channel.position(Files.size(tensors) - 1000);
      channel.write(java.nio.ByteBuffer.wrap(new byte[] {1, 2, 3, 4}));
    }
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, weights::open);
    assertTrue(refusal.getMessage().contains("SHA-256 expected " + id), refusal.getMessage());
    assertClosed(tensors);
  }

  /** No descriptor of this process is of the file; Linux tells. */
  private static void assertClosed(Path file) throws IOException {
    try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
      for (Path descriptor : descriptors.toList()) {
        if (Files.isSymbolicLink(descriptor)) { // the listing's own is gone
          assertNotEquals(file.toRealPath(), Files.readSymbolicLink(descriptor));
        }
      }
    }
  }

  @Test
  void tokenizerIsPartOfTheModel() throws IOException {
    Path other = Files.createDirectories(folder.resolve("other"));
    for (String name : List.of("config.json", "model.safetensors", "tokenizer.json")) {
      Files.copy(MODEL.resolve(name), other.resolve(name));
    }
    Files.writeString(other.resolve("tokenizer.json"), "\n", StandardOpenOption.APPEND);
    try (Weights.Origin one = Weights.Origin.open(MODEL);
        Weights.Origin two = Weights.Origin.open(other)) {
      assertNotEquals(Weights.folder(one, spark).id(), Weights.folder(two, spark).id());
    }
    Files.delete(other.resolve("tokenizer.json"));
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> Weights.Origin.open(other));
    assertTrue(refusal.getMessage().contains("tokenizer.json"), refusal.getMessage());
  }

  /** Blocks of a broadcast that is destroyed, or whose executors are gone, cannot be fetched. */
  @ParameterizedTest
  @ValueSource(classes = {IOException.class, InterruptedException.class})
  void aBroadcastThatCannotBeFetchedThrowsNothingChecked(Class<? extends Exception> kind)
      throws ReflectiveOperationException {
    Exception lost = kind.getConstructor(String.class).newInstance("lost");
    Broadcast<String> broadcast = new LostBroadcast<>(String.class, lost);
    if (kind == InterruptedException.class) {
      assertThrows(CancellationException.class, () -> Weights.value(broadcast));
      assertTrue(Thread.interrupted());
    } else {
      Exception thrown = assertThrows(IllegalStateException.class, () -> Weights.value(broadcast));
      assertSame(lost, thrown.getCause());
    }
  }

  private static final class LostBroadcast<T> extends Broadcast<T> {
    private static final long serialVersionUID = 1;

    private final Exception lost;

    LostBroadcast(Class<T> kind, Exception lost) {
      super(0, ClassTag$.MODULE$.apply(kind));
      this.lost = lost;
    }

    @Override
    public T getValue() {
      fail(lost);
      return null;
    }

    @SuppressWarnings("unchecked")
    private static <E extends Exception> void fail(Exception failure) throws E {
      throw (E) failure;
    }

    @Override
    public void doUnpersist(boolean blocking) {}

    @Override
    public void doDestroy(boolean blocking) {}
  }
}
