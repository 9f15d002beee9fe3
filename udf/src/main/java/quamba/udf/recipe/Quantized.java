package quamba.udf.recipe;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import quamba.kernels.HostTensor;
import quamba.udf.checkpoint.Manifest;
import quamba.udf.checkpoint.NewFolder;
import quamba.udf.checkpoint.SafetensorsWriter;
import quamba.udf.checkpoint.TensorSource;

/**
 * A quantized model.
 *
 * @param model that can be loaded, or written
 * @param layers what rounding did, the head last
 */
public record Quantized(TensorSource model, List<LayerReport> layers) {
  private static final String TENSORS = "model.safetensors";

  /** Takes a copy. */
  public Quantized {
    layers = List.copyOf(layers);
  }

  /**
   * Writes a checkpoint that appears whole or not at all.
   *
   * @param output a folder that does not exist or is empty
   * @param tokenizer the text of {@code tokenizer.json}
   * @return bytes of the tensors' file
   */
  public long write(Path output, String tokenizer) {
    return NewFolder.write(output, folder -> writeFiles(folder, tokenizer));
  }

  private long writeFiles(Path folder, String tokenizer) throws IOException {
    Map<String, HostTensor> tensors = new TreeMap<>();
    model.names().forEach(name -> tensors.put(name, model.tensor(name)));
    Path file = folder.resolve(TENSORS);
    SafetensorsWriter.writeAll(file, Map.of("format", "pt"), tensors);
    writeText(folder.resolve("config.json"), model.config());
    writeText(folder.resolve("tokenizer.json"), tokenizer);
    Manifest.of(folder).write(folder);
    return Files.size(file);
  }

  private static void writeText(Path file, String text) throws IOException {
    Files.write(file, text.getBytes(StandardCharsets.UTF_8));
  }
}
