package quamba.udf.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import quamba.kernels.HostTensor;

/**
 * What became of a PyTorch checkpoint that was converted to a folder that {@link Checkpoint} opens.
 *
 * @param tensors their number
 * @param bytes size of {@code model.safetensors}
 * @param sha256 its SHA-256, 64 hexadecimal digits
 */
public record Conversion(int tensors, long bytes, String sha256) {
  private static final String TORCH = "pytorch_model.bin";
  private static final String TORCH_INDEX = "pytorch_model.bin.index.json";
  private static final String EMBEDDING = "backbone.embedding.weight";
  private static final String HEAD = "lm_head.weight";

  /** Files that belong to a model and are copied where they exist. */
  private static final List<String> COMPANIONS =
      List.of(
          "added_tokens.json",
          "generation_config.json",
          "merges.txt",
          "special_tokens_map.json",
          "tokenizer.json",
          "tokenizer.model",
          "tokenizer_config.json",
          "vocab.json");

  /**
   * Converts {@code pytorch_model.bin}, whole or in indexed shards, and {@code config.json} beside
   * it to {@code model.safetensors}, under mamba_ssm's names, with {@code config.json}, the
   * tokenizer's files and {@code manifest.json}. A head that is but the embedding again is left
   * out, unless the configuration says that the two are not tied. The output appears whole or not
   * at all.
   *
   * @param source the archive, its index, or the folder of either
   * @param output a folder that does not exist or is empty
   * @throws InvalidCheckpointException if the source is damaged or holds anything but tensors
   * @throws IllegalArgumentException if the output is not empty
   * @throws UncheckedIOException if the output cannot be written
   */
  public static Conversion convert(Path source, Path output) {
    Path archive = Files.isDirectory(source) ? archive(source) : source;
    return NewFolder.write(output, folder -> write(archive.toAbsolutePath(), folder));
  }

  /** The PyTorch archive of a folder, and the index of shards. */
  static List<Path> sources(Path dir) {
    return Stream.of(TORCH, TORCH_INDEX).map(dir::resolve).filter(Files::isRegularFile).toList();
  }

  private static Path archive(Path dir) {
    List<Path> found = sources(dir);
    if (found.size() != 1) {
      throw new InvalidCheckpointException(
          "%s: expected one of %s and %s, found %s"
              .formatted(dir, TORCH, TORCH_INDEX, found.isEmpty() ? "neither" : "both"));
    }
    return found.get(0);
  }

  private static Conversion write(Path archive, Path folder) throws IOException {
    Path configFile = archive.resolveSibling(Checkpoint.CONFIG);
    String config = Checkpoint.config(configFile);
    Path safetensors = folder.resolve(Checkpoint.SINGLE);
    int tensors;
    try (Shards shards = shards(archive)) {
      Map<String, TensorSpec> specs = new TreeMap<>();
      shards.names().forEach(name -> specs.put(name, shards.spec(name)));
      if (tied(configFile, config, shards)) {
        specs.remove(HEAD);
      }
      try (SafetensorsWriter writer =
          SafetensorsWriter.open(safetensors, Map.of("format", "pt"), specs)) {
        specs.keySet().forEach(name -> writer.write(name, shards.tensor(name)));
        writer.finish();
      }
      tensors = specs.size();
    }
    Files.copy(configFile, folder.resolve(Checkpoint.CONFIG));
    for (String name : COMPANIONS) {
      if (Files.isRegularFile(archive.resolveSibling(name))) {
        Files.copy(archive.resolveSibling(name), folder.resolve(name));
      }
    }
    Manifest manifest = Manifest.of(folder);
    manifest.write(folder);
    return new Conversion(
        tensors, Files.size(safetensors), manifest.sha256().get(Checkpoint.SINGLE));
  }

  private static Shards shards(Path archive) {
    return archive.getFileName().toString().endsWith(".index.json")
        ? Shards.indexed(archive, TorchArchive::open)
        : Shards.single(archive, TorchArchive::open);
  }

  /** Whether the head is the embedding again and may be left out. */
  private static boolean tied(Path configFile, String config, Shards shards) {
    if (!shards.names().contains(HEAD) || !shards.names().contains(EMBEDDING)) {
      return false;
    }
    JsonNode root = StrictJson.object(configFile.toString(), config);
    JsonNode tie = root.path("tie_embeddings");
    if (tie.isMissingNode()) {
      tie = root.path("tie_word_embeddings");
    }
    HostTensor head = shards.tensor(HEAD);
    HostTensor embedding = shards.tensor(EMBEDDING);
    boolean same =
        TensorSpec.of(head).equals(TensorSpec.of(embedding))
            && head.data().equals(embedding.data());
    if (tie.asBoolean() && !same) {
      throw new InvalidCheckpointException(
          "%s: says that the embeddings are tied: expected %s to be %s again, found others"
              .formatted(configFile, HEAD, EMBEDDING));
    }
    return same && tie.asBoolean(true);
  }
}
