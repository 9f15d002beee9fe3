package quamba.udf.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.udf.SharedFiles;

class ConversionTest {
  private static final String EMBEDDING = "backbone.embedding.weight";
  private static final String HEAD = "lm_head.weight";

  @TempDir Path dir;

  private Path source;
  private Path output;

  @BeforeEach
  void createSource() throws IOException {
    source = Files.createDirectory(dir.resolve("source"));
    output = dir.resolve("output");
    Files.writeString(source.resolve("config.json"), "{}");
  }

  @Test
  void convertedModelIsTheModel() {
    Conversion conversion =
        Conversion.convert(SharedFiles.shared("models/torch/mamba2-g4-6m"), output);
    try (Checkpoint converted = Checkpoint.open(output);
        Checkpoint original = Checkpoint.open(SharedFiles.shared("models/mamba2-g4-6m"))) {
      assertEquals(original.names(), converted.names());
      assertEquals(original.names().size(), conversion.tensors());
      for (String name : original.names()) {
        assertEquals(original.spec(name), converted.spec(name), name);
        assertEquals(original.tensor(name).data(), converted.tensor(name).data(), name);
      }
    }
    assertEquals(Manifest.read(output).sha256().get("model.safetensors"), conversion.sha256());
  }

  @Test
  void folderHasTheFilesOfTheModelAndNothingElse() throws IOException {
    archive("FloatStorage", "0", "1");
    Files.writeString(source.resolve("tokenizer.json"), "{}");
    Files.writeString(source.resolve("optimizer.pt"), "");
    Conversion conversion = Conversion.convert(source, Files.createDirectory(output));
    assertEquals(
        List.of("config.json", "manifest.json", "model.safetensors", "tokenizer.json"),
        files(output));
    assertEquals(2, conversion.tensors());
    assertEquals(Files.size(output.resolve("model.safetensors")), conversion.bytes());
    assertEquals(List.of("output", "source"), files(dir));
    assertThrows(IllegalArgumentException.class, () -> Conversion.convert(source, output));
    assertThrows(
        IllegalArgumentException.class,
        () -> Conversion.convert(source, output.resolve("config.json")));
  }

  @Test
  void headIsLeftOutWhereItIsTheEmbedding() throws IOException {
    archive("FloatStorage", "0", "0");
    assertEquals(Set.of(EMBEDDING), converted("{}"));
    assertEquals(Set.of(EMBEDDING), converted("{\"tie_embeddings\": true}"));
    assertEquals(Set.of(EMBEDDING, HEAD), converted("{\"tie_embeddings\": false}"));
    assertEquals(Set.of(EMBEDDING, HEAD), converted("{\"tie_word_embeddings\": false}"));
    archive("FloatStorage", "0", "1");
    assertEquals(Set.of(EMBEDDING, HEAD), converted("{}"));
    InvalidCheckpointException refusal =
        assertThrows(
            InvalidCheckpointException.class, () -> converted("{\"tie_embeddings\": true}"));
    assertTrue(refusal.getMessage().contains("embeddings are tied"), refusal.getMessage());
    assertEquals(List.of("source"), files(dir));
  }

  @Test
  void shardsAreConvertedTogether() throws IOException {
    new TorchFixture()
        .op("}")
        .text("a")
        .vector("FloatStorage", "0", 2)
        .op("s.")
        .storage("0", TorchFixture.f32(1, 2))
        .write(source.resolve("one.bin"));
    new TorchFixture()
        .op("}")
        .text("b")
        .vector("FloatStorage", "0", 2)
        .op("s.")
        .storage("0", TorchFixture.f32(3, 4))
        .write(source.resolve("two.bin"));
    Path index = source.resolve("pytorch_model.bin.index.json");
    Files.writeString(index, "{\"weight_map\": {\"a\": \"one.bin\", \"b\": \"two.bin\"}}");
    assertEquals(Set.of("a", "b"), converted("{}"));
    Files.writeString(index, "{\"weight_map\": {\"a\": \"one.bin\", \"b\": \"one.bin\"}}");
    assertThrows(InvalidCheckpointException.class, () -> converted("{}"));
    archive("FloatStorage", "0", "1");
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> converted("{}"));
    assertTrue(refusal.getMessage().endsWith("found both"), refusal.getMessage());
  }

  @Test
  void damagedSourceLeavesNoOutput() throws IOException {
    assertThrows(InvalidCheckpointException.class, () -> Conversion.convert(source, output));
    archive("FloatStorage", "0", "2");
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> Conversion.convert(source, output));
    assertTrue(
        refusal.getMessage().contains("'lm_head.weight': expected finite numbers, found NaN"),
        refusal.getMessage());
    Files.delete(source.resolve("config.json"));
    assertThrows(InvalidCheckpointException.class, () -> Conversion.convert(source, output));
    assertEquals(List.of("source"), files(dir));
  }

  /** Writes an archive of embedding and head; storage 2 has a number that is not finite. */
  private void archive(String type, String embedding, String head) throws IOException {
    new TorchFixture()
        .op("}(")
        .text(EMBEDDING)
        .vector(type, embedding, 2)
        .text(HEAD)
        .vector(type, head, 2)
        .op("u.")
        .storage("0", TorchFixture.f32(1, 2))
        .storage("1", TorchFixture.f32(3, 4))
        .storage("2", TorchFixture.f32(3, Float.NaN))
        .write(source.resolve("pytorch_model.bin"));
  }

  /** Names of the tensors that are left after conversion under a configuration. */
  private Set<String> converted(String config) throws IOException {
    Files.writeString(source.resolve("config.json"), config);
    Conversion.convert(source, output);
    try (Checkpoint checkpoint = Checkpoint.open(output)) {
      return Set.copyOf(checkpoint.names());
    } finally {
      for (String file : files(output)) {
        Files.delete(output.resolve(file));
      }
      Files.delete(output);
    }
  }

  private static List<String> files(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }
}
