package quamba.udf.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import quamba.kernels.HostTensor;
import quamba.udf.SharedFiles;
import quamba.udf.checkpoint.Safetensors;

/** What a float64 implementation says of a shared model. */
final class Reference {
  /** A prompt and what greedy decoding makes of it, with the margin of every choice. */
  record Prompt(List<Integer> ids, List<Integer> generated, List<Double> margins) {}

  private final Path dir;
  private final Safetensors file;

  private Reference(Path dir, Safetensors file) {
    this.dir = dir;
    this.file = file;
  }

  /** Skips the test if {@code ../shared/models/model} is missing. */
  static Reference of(String model) {
    Path dir = SharedFiles.shared("models/" + model);
    return new Reference(dir, Safetensors.open(dir.resolve("reference.safetensors")));
  }

  /** The model's folder. */
  Path dir() {
    return dir;
  }

  /** (rows, columns) of tokens. */
  IntBuffer tokens() {
    return file.tensor("tokens").data().asIntBuffer();
  }

  int rows() {
    return file.tensor("tokens").shape().dim(0);
  }

  int columns() {
    return file.tensor("tokens").shape().dim(1);
  }

  /** The tokens of one row. */
  int[] row(int row) {
    int[] ids = new int[columns()];
    tokens().get(row * columns(), ids);
    return ids;
  }

  FloatBuffer floats(String name) {
    return file.tensor(name).data().asFloatBuffer();
  }

  /** Positions of a row whose logits are there: all, if the file does not say. */
  int[] logitPositions() {
    int[] positions = new int[columns()];
    if (!file.names().contains("logit_positions")) {
      for (int i = 0; i < positions.length; i++) {
        positions[i] = i;
      }
      return positions;
    }
    HostTensor listed = file.tensor("logit_positions");
    positions = new int[listed.shape().dim(0)];
    listed.data().asIntBuffer().get(positions);
    return positions;
  }

  List<Prompt> prompts() {
    try {
      JsonNode root = new ObjectMapper().readTree(dir.resolve("reference.json").toFile());
      return StreamSupport.stream(root.get("prompts").spliterator(), false)
          .map(
              prompt ->
                  new Prompt(
                      list(prompt.get("ids")).map(JsonNode::intValue).toList(),
                      list(prompt.get("generated")).map(JsonNode::intValue).toList(),
                      list(prompt.get("margin")).map(JsonNode::doubleValue).toList()))
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Stream<JsonNode> list(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false);
  }
}
