package quamba.job;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.spark.api.java.JavaSparkContext;
import quamba.udf.PartitionTask.Defaults;
import quamba.udf.PartitionTask.Prompting;
import quamba.udf.Weights;
import quamba.udf.model.StateFormat;

/**
 * What a generate job means, from its flags; every part refuses what cannot be.
 *
 * @param model folder of the checkpoint, as the driver sees it
 * @param defaults sampling and limits for rows that do not say otherwise
 */
public record JobConfig(
    Path model, Input input, Output output, Defaults defaults, Execution execution) {
  /** Spells of formats, as flags and extensions have them. */
  public enum Format {
    PARQUET,
    JSON,
    CSV;

    private static final List<String> LATER = List.of("orc", "openai-batch", "arrow");

    /**
     * Reads the name of a format.
     *
     * @param flag that gave it, for the message
     */
    static Format of(String flag, String name, Format... allowed) {
      for (Format format : allowed) {
        if (format.toString().equals(name)) {
          return format;
        }
      }
      String expected = String.join(", ", Arrays.stream(allowed).map(Format::toString).toList());
      if (LATER.contains(name)) {
        throw new IllegalArgumentException(
            flag + " " + name + ": not supported yet, use " + expected);
      }
      throw new IllegalArgumentException(flag + ": expected " + expected + ", found " + name);
    }

    /** The name that flags use. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * Rows to read.
   *
   * @param paths files, folders or globs, of one format
   * @param key column that names rows, if there is one
   */
  public record Input(
      List<String> paths, Format format, Prompting prompting, Optional<String> key) {
    private static final List<String> COMPRESSED = List.of(".gz", ".bz2", ".zst", ".snappy");

    public Input {
      if (paths.isEmpty() || paths.contains("")) {
        throw new IllegalArgumentException("--input: expected a path, found an empty one");
      }
      paths = List.copyOf(paths);
    }

    /** What the extensions of all paths say. */
    static Format guess(List<String> paths) {
      List<Optional<Format>> formats = paths.stream().map(Input::guess).distinct().toList();
      if (formats.size() != 1 || formats.get(0).isEmpty()) {
        throw new IllegalArgumentException(
            "--input-format is needed: the names of --input do not say one format by .parquet,"
                + " .jsonl, .ndjson, .json or .csv");
      }
      return formats.get(0).get();
    }

    private static Optional<Format> guess(String path) {
      String name = path.toLowerCase(Locale.ROOT).replaceAll("/+$", "");
      for (String compressed : COMPRESSED) {
        if (name.endsWith(compressed)) {
          name = name.substring(0, name.length() - compressed.length());
        }
      }
      return switch (name.substring(name.lastIndexOf('.') + 1)) {
        case "parquet" -> Optional.of(Format.PARQUET);
        case "jsonl", "ndjson", "json" -> Optional.of(Format.JSON);
        case "csv" -> Optional.of(Format.CSV);
        default -> Optional.empty();
      };
    }
  }

  /**
   * Rows to write.
   *
   * @param column of the generation; names of the other two begin with it
   */
  public record Output(String path, Format format, String column, Writing writing) {
    public Output {
      if (column.isEmpty()) {
        throw new IllegalArgumentException("--output-column: expected a name, found an empty one");
      }
    }

    /** Columns that the job adds. */
    List<String> columns() {
      return List.of(column, column + "_error", column + "_meta");
    }
  }

  /**
   * How rows are written.
   *
   * @param overwrite whether an earlier output of this program may go
   * @param sorted whether rows are written in the order of their keys
   * @param maxErrorFraction more error rows than this make the job end with 3
   */
  public record Writing(boolean overwrite, boolean sorted, double maxErrorFraction) {
    public Writing {
      if (!(maxErrorFraction >= 0 && maxErrorFraction <= 1)) {
        throw new IllegalArgumentException(
            "--max-error-fraction must be 0 to 1, found " + maxErrorFraction);
      }
    }
  }

  /** How weights come to executors. */
  public enum Delivery {
    BROADCAST,
    PATH;

    /** Reads what {@code --weights} says. */
    static Delivery of(String flag) {
      for (Delivery delivery : values()) {
        if (delivery.name().toLowerCase(Locale.ROOT).equals(flag)) {
          return delivery;
        }
      }
      throw new IllegalArgumentException("--weights: expected broadcast or path, found " + flag);
    }

    /** Sends a model this way. */
    Weights send(Weights.Origin origin, JavaSparkContext spark) {
      return switch (this) {
        case BROADCAST -> Weights.broadcast(origin, spark);
        case PATH -> Weights.folder(origin, spark);
      };
    }
  }

  /**
   * What runs it.
   *
   * @param device {@code cpu} or {@code cuda}
   * @param slots sequences under way at once in an executor, empty for the device's usual
   * @param state format of what a sequence carries from token to token
   */
  public record Execution(String device, OptionalInt slots, StateFormat state, Delivery weights) {
    private static final int CPU_SLOTS = 16;
    private static final int CUDA_SLOTS = 256;

    public Execution {
      if (!List.of("cpu", "cuda").contains(device)) {
        throw new IllegalArgumentException("--device must be cpu or cuda, found " + device);
      }
      if (slots.isPresent() && slots.getAsInt() < 1) {
        throw new IllegalArgumentException("--slots must be 1 or more, found " + slots.getAsInt());
      }
    }

    int usedSlots() {
      return slots.orElse(device.equals("cpu") ? CPU_SLOTS : CUDA_SLOTS);
    }
  }
}
