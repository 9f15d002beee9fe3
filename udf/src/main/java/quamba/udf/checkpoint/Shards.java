package quamba.udf.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import quamba.kernels.HostTensor;

/**
 * One or more tensor files as one, under mamba_ssm's names. The index of several is a JSON object
 * with a {@code weight_map} from tensor name to file name, as transformers writes it.
 */
final class Shards implements AutoCloseable {
  /** The file that holds a tensor, and what it calls the tensor. */
  private record Place(TensorFile file, String name) {}

  private final List<Path> files;
  private final List<TensorFile> opened = new ArrayList<>();
  private final Map<String, Place> places = new TreeMap<>();

  private Shards(List<Path> files) {
    this.files = files;
  }

  /**
   * Opens one file.
   *
   * @throws InvalidCheckpointException if it is damaged, or two of its names are one in mamba_ssm
   */
  static Shards single(Path file, Function<Path, TensorFile> format) {
    Shards shards = new Shards(List.of(file));
    return shards.closedOnFailure(() -> shards.add(file, format));
  }

  /**
   * Opens all files that an index names.
   *
   * @throws InvalidCheckpointException if index and files do not agree on every tensor
   */
  static Shards indexed(Path index, Function<Path, TensorFile> format) {
    Map<String, String> weightMap = weightMap(index);
    List<Path> files =
        weightMap.values().stream().distinct().sorted().map(index::resolveSibling).toList();
    List<Path> all = new ArrayList<>(files);
    all.add(index);
    Shards shards = new Shards(List.copyOf(all));
    return shards.closedOnFailure(
        () -> {
          Set<String> found = new HashSet<>();
          for (Path file : files) {
            if (!Files.isRegularFile(file)) {
              throw new InvalidCheckpointException(
                  "%s: names the file '%s', which is missing".formatted(index, file.getFileName()));
            }
            for (String name : shards.add(file, format).names()) {
              found.add(name);
              checkOwner(index, weightMap, name, file);
            }
          }
          weightMap.forEach(
              (name, file) -> {
                if (!found.contains(name)) {
                  throw new InvalidCheckpointException(
                      "%s: expected tensor '%s' in '%s', which lacks it"
                          .formatted(index, name, file));
                }
              });
        });
  }

  /** The files, and their index where there is one. */
  List<Path> files() {
    return files;
  }

  /** Names of all tensors. */
  Set<String> names() {
    return Collections.unmodifiableSet(places.keySet());
  }

  /**
   * Element type and extents of one tensor.
   *
   * @throws InvalidCheckpointException if there is none of that name
   */
  TensorSpec spec(String name) {
    Place place = place(name);
    return place.file().spec(place.name());
  }

  /**
   * One tensor, row-major and little-endian; valid until this is closed.
   *
   * @throws InvalidCheckpointException if there is none of that name, it cannot be read, or has a
   *     number that is not finite
   */
  HostTensor tensor(String name) {
    Place place = place(name);
    HostTensor tensor = place.file().tensor(place.name());
    NonFinite.first(tensor)
        .ifPresent(
            index -> {
              throw new InvalidCheckpointException(
                  "%s: tensor '%s': expected finite numbers, found NaN or Infinity at element %d"
                      .formatted(place.file().file(), place.name(), index));
            });
    return tensor;
  }

  @Override
  public void close() {
    opened.forEach(TensorFile::close);
  }

  private Shards closedOnFailure(Runnable opening) {
    try {
      opening.run();
      return this;
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private TensorFile add(Path file, Function<Path, TensorFile> format) {
    TensorFile tensors = format.apply(file);
    opened.add(tensors);
    for (String name : tensors.names()) {
      Place earlier = places.putIfAbsent(TensorNames.ours(name), new Place(tensors, name));
      if (earlier != null) {
        throw new InvalidCheckpointException(
            "%s: tensor '%s' is in the checkpoint twice, also as '%s' of %s"
                .formatted(file, name, earlier.name(), earlier.file().file()));
      }
    }
    return tensors;
  }

  private Place place(String name) {
    Place place = places.get(name);
    if (place == null) {
      throw new InvalidCheckpointException("%s: has no tensor '%s'".formatted(files, name));
    }
    return place;
  }

  private static Map<String, String> weightMap(Path index) {
    JsonNode root = StrictJson.object(index.toString(), StrictJson.text(index));
    JsonNode map = root.path("weight_map");
    if (!map.isObject() || map.isEmpty()) {
      throw new InvalidCheckpointException(
          "%s: expected an object 'weight_map' with tensors, found %s"
              .formatted(index, map.getNodeType()));
    }
    Map<String, String> files = new TreeMap<>();
    for (Map.Entry<String, JsonNode> tensor : map.properties()) {
      files.put(
          tensor.getKey(),
          StrictJson.fileName(
              "%s: file of tensor '%s'".formatted(index, tensor.getKey()),
              tensor.getValue().asText()));
    }
    return files;
  }

  private static void checkOwner(
      Path index, Map<String, String> weightMap, String name, Path file) {
    String owner = weightMap.get(name);
    if (owner == null || !owner.equals(file.getFileName().toString())) {
      throw new InvalidCheckpointException(
          "%s: tensor '%s': expected '%s', which has it, found %s"
              .formatted(
                  index, name, file.getFileName(), owner == null ? "no entry" : "'" + owner + "'"));
    }
  }
}
