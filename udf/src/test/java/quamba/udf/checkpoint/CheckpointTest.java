package quamba.udf.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.SharedFiles;

class CheckpointTest {
  private static final String CONFIG = "{\"d_model\": 4, \"time_step_limit\": [0.0, Infinity]}";

  @TempDir Path dir;

  @ParameterizedTest
  @ValueSource(strings = {"mamba2-5m", "mamba1-18m", "mamba2-15m", "mamba2-g4-6m", "hf-mamba"})
  void trainedModelOpensUnderTheNamesOfMambaSsm(String model) {
    try (Checkpoint checkpoint = Checkpoint.open(SharedFiles.shared("models/" + model))) {
      assertEquals(2, checkpoint.tensor("backbone.embedding.weight").shape().rank());
      checkpoint.names().forEach(checkpoint::tensor);
    }
  }

  @Test
  void shardsUnderOtherNamesAreTheSameModel() throws IOException {
    try (Checkpoint whole = Checkpoint.open(SharedFiles.shared("models/mamba2-g4-6m"))) {
      List<Map<String, HostTensor>> shards = List.of(new TreeMap<>(), new TreeMap<>());
      for (String name : whole.names()) {
        shards
            .get(name.length() % 2)
            .put(name.replace("backbone.embedding.", "backbone.embeddings."), whole.tensor(name));
      }
      Files.writeString(dir.resolve("config.json"), whole.config());
      shard("a.safetensors", shards.get(0));
      shard("b.safetensors", shards.get(1));
      index(shards.get(0).keySet(), "a.safetensors", shards.get(1).keySet(), "b.safetensors");
      try (Checkpoint sharded = Checkpoint.open(dir)) {
        assertEquals(whole.names(), sharded.names());
        assertEquals(whole.config(), sharded.config());
        for (String name : whole.names()) {
          assertEquals(whole.spec(name), sharded.spec(name));
          assertEquals(whole.tensor(name).data(), sharded.tensor(name).data(), name);
        }
        assertEquals(
            List.of(
                "config.json", "a.safetensors", "b.safetensors", "model.safetensors.index.json"),
            sharded.files().stream().map(file -> file.getFileName().toString()).toList());
      }
    }
  }

  @Test
  void indexAndShardsMustAgree() throws IOException {
    Files.writeString(dir.resolve("config.json"), CONFIG);
    shard("a", Map.of("x", f32(1), "y", f32(2)));
    shard("b", Map.of("z", f32(3)));
    index(List.of("x", "y"), "a", List.of("z"), "b");
    Checkpoint.open(dir).close();
    index(List.of("x", "y"), "a", List.of("z"), "c");
    refused("names the file 'c', which is missing");
    index(List.of("x", "y", "w"), "a", List.of("z"), "b");
    refused("expected tensor 'w' in 'a', which lacks it");
    index(List.of("x"), "a", List.of("z"), "b");
    refused("tensor 'y': expected 'a', which has it, found no entry");
    index(List.of("x"), "a", List.of("y", "z"), "b");
    refused("tensor 'y': expected 'a', which has it, found 'b'");
    shard("b", Map.of("z", f32(3), "y", f32(4)));
    index(List.of("x", "y"), "a", List.of("z"), "b");
    refused("tensor 'y' is in the checkpoint twice, also as 'y' of");
    for (String escape : List.of("../a", "/etc/passwd", "..", "", "a/b", "a\\\\b", "\\u0000")) {
      index(List.of("x", "y"), "a", List.of("z"), escape);
      refused("file of tensor 'z': expected the plain name of a file, found");
    }
    Files.writeString(dir.resolve("model.safetensors.index.json"), "{\"weight_map\": []}");
    refused("expected an object 'weight_map' with tensors, found ARRAY");
    Files.writeString(
        dir.resolve("model.safetensors.index.json"),
        "{\"weight_map\": {\"x\": \"a\", \"x\": \"b\"}}");
    refused("Duplicate field 'x'");
    shard("model.safetensors", Map.of("x", f32(1)));
    refused("expected one of model.safetensors and model.safetensors.index.json, found both");
  }

  @Test
  void twoNamesOfOneTensorAreRefused() throws IOException {
    Files.writeString(dir.resolve("config.json"), CONFIG);
    shard(
        "model.safetensors",
        Map.of("backbone.embedding.weight", f32(1), "backbone.embeddings.weight", f32(2)));
    refused("is in the checkpoint twice, also as 'backbone.embedding.weight'");
  }

  @Test
  void foreignNamesBecomeThoseOfMambaSsmAndUnknownOnesStay() {
    Map.of(
            "backbone.embeddings.weight", "backbone.embedding.weight",
            "backbone.layers.3.mixer.D", "backbone.layers.3.mixer.D",
            "model.backbone.embeddings.weight", "backbone.embedding.weight",
            "model.embedding.word_embeddings.weight", "backbone.embedding.weight",
            "model.decoder.layers.7.mixer.A_log", "backbone.layers.7.mixer.A_log",
            "decoder.final_norm.weight", "backbone.norm_f.weight",
            "output_layer.weight", "lm_head.weight",
            "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.weight",
            "adapter", "adapter")
        .forEach((foreign, ours) -> assertEquals(ours, TensorNames.ours(foreign)));
  }

  @Test
  void numberThatIsNotFiniteIsRefusedWhenItsTensorIsRead() throws IOException {
    Files.writeString(dir.resolve("config.json"), CONFIG);
    shard("model.safetensors", Map.of("good", f32(1), "bad", f32(Float.NaN)));
    try (Checkpoint checkpoint = Checkpoint.open(dir)) {
      checkpoint.tensor("good");
      InvalidCheckpointException refusal =
          assertThrows(InvalidCheckpointException.class, () -> checkpoint.tensor("bad"));
      assertTrue(
          refusal.getMessage().contains("tensor 'bad'")
              && refusal.getMessage().endsWith("NaN or Infinity at element 1"),
          refusal.getMessage());
      assertThrows(InvalidCheckpointException.class, () -> checkpoint.tensor("none"));
    }
  }

  @Test
  void missingOrDamagedFilesAreNamed() throws IOException {
    refused("config.json: expected a configuration, found no file");
    Files.writeString(dir.resolve("config.json"), CONFIG);
    refused("expected model.safetensors or model.safetensors.index.json, found neither");
    Files.createFile(dir.resolve("pytorch_model.bin"));
    refused("found a PyTorch archive: run `convert` on this folder first");
    shard("model.safetensors", Map.of("x", f32(1)));
    for (String config : List.of("", "[]", "{", "{\"a\":1,\"a\":2}", "{} {}", "[".repeat(999))) {
      Files.writeString(dir.resolve("config.json"), config);
      refused("config.json: ");
    }
    assertThrows(InvalidCheckpointException.class, () -> Checkpoint.open(dir.resolve("nowhere")));
  }

  @Test
  void manifestIsVerifiedWhereThereIsOne() throws IOException {
    Files.writeString(dir.resolve("config.json"), CONFIG);
    Files.writeString(dir.resolve("notes.txt"), "");
    shard("model.safetensors", Map.of("x", f32(1)));
    Manifest manifest = Manifest.of(dir);
    manifest.write(dir);
    assertEquals(manifest, Manifest.read(dir));
    assertEquals(
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        manifest.sha256().get("notes.txt"));
    Checkpoint.open(dir).close();
    assertEquals(manifest, Manifest.of(dir));

    Files.writeString(dir.resolve("config.json"), CONFIG + " ");
    String found = Manifest.of(dir).sha256().get("config.json");
    refused(
        "config.json: expected SHA-256 %s, found %s"
            .formatted(manifest.sha256().get("config.json"), found));
    Files.writeString(dir.resolve("config.json"), CONFIG);
    Files.delete(dir.resolve("notes.txt"));
    refused("notes.txt: expected SHA-256 e3b0");
    Manifest.of(List.of(dir.resolve("config.json"))).write(dir);
    refused("expected a SHA-256 of 'model.safetensors', found none");
    for (String damaged :
        List.of(
            "{}", "{\"sha256\":{\"../x\":\"00\"}}", "{\"sha256\":{\"config.json\":\"00\"}}", "?")) {
      Files.writeString(dir.resolve(Manifest.FILE), damaged);
      refused("manifest.json");
    }
  }

  private void refused(String reason) {
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> Checkpoint.open(dir));
    assertTrue(refusal.getMessage().contains(reason), refusal.getMessage());
  }

  private void shard(String file, Map<String, HostTensor> tensors) {
    SafetensorsWriter.writeAll(dir.resolve(file), Map.of("format", "pt"), tensors);
  }

  private void index(
      Iterable<String> first, String firstFile, Iterable<String> second, String secondFile)
      throws IOException {
    Map<String, String> weightMap = new TreeMap<>();
    first.forEach(name -> weightMap.put(name, firstFile));
    second.forEach(name -> weightMap.put(name, secondFile));
    String entries =
        weightMap.entrySet().stream()
            .map(entry -> "\"%s\": \"%s\"".formatted(entry.getKey(), entry.getValue()))
            .collect(Collectors.joining(", "));
    Files.writeString(
        dir.resolve("model.safetensors.index.json"),
        "{\"metadata\": {\"total_size\": 0}, \"weight_map\": {" + entries + "}}");
  }

  /** Two numbers, the first of which is zero. */
  private static HostTensor f32(float second) {
    ByteBuffer data = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(4, second);
    return new HostTensor(DType.F32, Shape.of(2), data);
  }
}
