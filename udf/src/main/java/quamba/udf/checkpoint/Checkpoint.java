package quamba.udf.checkpoint;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import quamba.kernels.HostTensor;

/**
 * A model's folder: {@code config.json} and either {@code model.safetensors} or several files that
 * {@code model.safetensors.index.json} lists; by mamba_ssm or by transformers. Where there is a
 * {@code manifest.json}, the files are compared with it before anything is read from them.
 */
public final class Checkpoint implements TensorSource, AutoCloseable {
  static final String CONFIG = "config.json";
  static final String SINGLE = "model.safetensors";

  private static final String INDEX = "model.safetensors.index.json";

  private final String config;
  private final Shards shards;
  private final List<Path> files;

  private Checkpoint(Path configFile, String config, Shards shards) {
    this.config = config;
    this.shards = shards;
    List<Path> all = new ArrayList<>(List.of(configFile));
    all.addAll(shards.files());
    this.files = List.copyOf(all);
  }

  /**
   * Opens a folder and checks all that can be checked without reading the elements.
   *
   * @throws InvalidCheckpointException if a file is missing, damaged or not as the manifest says
   */
  public static Checkpoint open(Path dir) {
    if (!Files.isDirectory(dir)) {
      throw new InvalidCheckpointException(dir + ": expected a folder, found none");
    }
    boolean manifested = Files.exists(dir.resolve(Manifest.FILE));
    if (manifested) {
      Manifest.read(dir).verify(dir);
    }
    Path configFile = dir.resolve(CONFIG);
    String config = config(configFile);
    Shards shards = shards(dir);
    Checkpoint checkpoint = new Checkpoint(configFile, config, shards);
    try {
      if (manifested) {
        checkpoint.checkListed(dir);
      }
      return checkpoint;
    } catch (InvalidCheckpointException e) {
      checkpoint.close();
      throw e;
    }
  }

  /** All files that hold the model: the configuration, the tensors, and their index if any. */
  public List<Path> files() {
    return files;
  }

  @Override
  public String config() {
    return config;
  }

  @Override
  public Set<String> names() {
    return shards.names();
  }

  /**
   * Element type and extents of one tensor.
   *
   * @throws InvalidCheckpointException if there is none of that name
   */
  public TensorSpec spec(String name) {
    return shards.spec(name);
  }

  /**
   * One tensor, mapped from its file.
   *
   * @throws InvalidCheckpointException if there is none of that name, or one of its numbers is NaN
   *     or infinite
   */
  @Override
  public HostTensor tensor(String name) {
    return shards.tensor(name);
  }

  @Override
  public void close() {
    shards.close();
  }

  /**
   * The text of a configuration file.
   *
   * @throws InvalidCheckpointException if it is missing or no JSON object
   */
  static String config(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new InvalidCheckpointException(file + ": expected a configuration, found no file");
    }
    String text = StrictJson.text(file);
    StrictJson.object(file.toString(), text);
    return text;
  }

  private static Shards shards(Path dir) {
    Path single = dir.resolve(SINGLE);
    Path index = dir.resolve(INDEX);
    if (Files.exists(single) && Files.exists(index)) {
      throw new InvalidCheckpointException(
          "%s: expected one of %s and %s, found both".formatted(dir, SINGLE, INDEX));
    }
    if (Files.isRegularFile(single)) {
      return Shards.single(single, Safetensors::open);
    }
    if (Files.isRegularFile(index)) {
      return Shards.indexed(index, Safetensors::open);
    }
    boolean torch = !Conversion.sources(dir).isEmpty();
    throw new InvalidCheckpointException(
        "%s: expected %s or %s, found %s"
            .formatted(
                dir,
                SINGLE,
                INDEX,
                torch ? "a PyTorch archive: run `convert` on this folder first" : "neither"));
  }

  private void checkListed(Path dir) {
    Set<String> listed = Manifest.read(dir).sha256().keySet();
    for (Path file : files) {
      String name = file.getFileName().toString();
      if (!listed.contains(name)) {
        throw new InvalidCheckpointException(
            "%s: expected a SHA-256 of '%s', found none"
                .formatted(dir.resolve(Manifest.FILE), name));
      }
    }
  }
}
