package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.HostTensor;
import quamba.kernels.Scan;
import quamba.udf.Backends;
import quamba.udf.SharedFiles;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.checkpoint.SafetensorsWriter;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;

/** A checkpoint under transformers' names, in several files, is the same model. */
class TransformersLayoutTest {
  private static final int SHARDS = 3;
  private static final int[] IDS = {466, 874, 724, 13, 286, 262, 576, 13, 286, 262, 8191, 0, 5};

  @TempDir private Path dir;

  @ParameterizedTest
  @ValueSource(strings = {"mamba2-g4-6m", "mamba2-5m", "mamba1-18m"})
  void logitsAreTheSame(String name) throws IOException {
    try (Checkpoint original = Checkpoint.open(SharedFiles.shared("models/" + name))) {
      ModelConfig config = ModelConfig.parse(original.config());
      Files.writeString(dir.resolve("config.json"), transformers(config).toString());
      writeShards(original);
      try (Checkpoint renamed = Checkpoint.open(dir)) {
        assertEquals(config.mixer(), ModelConfig.parse(renamed.config()).mixer());
        assertArrayEquals(logits(original), logits(renamed));
      }
    }
  }

  private static float[][] logits(Checkpoint checkpoint) {
    Capacity capacity = new Capacity(4, IDS.length);
    try (MambaModel model = ModelLoader.open(checkpoint, Backends.open("cpu", 2), capacity, 8192)) {
      return Rows.logits(model, 0, IDS.length, IDS);
    }
  }

  /** Deals the tensors out to files and lists who has what. */
  private void writeShards(Checkpoint original) throws IOException {
    List<Map<String, HostTensor>> shards =
        List.of(new TreeMap<>(), new TreeMap<>(), new TreeMap<>());
    ObjectNode index = new ObjectMapper().createObjectNode();
    ObjectNode weightMap = index.putObject("weight_map");
    int next = 0;
    for (String name : original.names()) {
      String renamed = name.replace("backbone.embedding.", "backbone.embeddings.");
      int shard = next++ % SHARDS;
      shards.get(shard).put(renamed, original.tensor(name));
      weightMap.put(renamed, file(shard));
    }
    for (int shard = 0; shard < SHARDS; shard++) {
      SafetensorsWriter.writeAll(
          dir.resolve(file(shard)), Map.of("format", "pt"), shards.get(shard));
    }
    Files.writeString(dir.resolve("model.safetensors.index.json"), index.toString());
  }

  private static String file(int shard) {
    return "model-%05d-of-%05d.safetensors".formatted(shard + 1, SHARDS);
  }

  private static ObjectNode transformers(ModelConfig config) {
    Scan.Dims dims = config.mixer().dims();
    ObjectNode json = new ObjectMapper().createObjectNode();
    json.put("hidden_size", config.modelDim());
    json.put("num_hidden_layers", config.layers());
    json.put("vocab_size", config.vocabulary().size());
    json.put("state_size", dims.stateDim());
    json.put("conv_kernel", config.mixer().convWidth());
    json.put("expand", config.mixer().innerDim() / config.modelDim());
    json.put("layer_norm_epsilon", 1e-5);
    json.put("tie_word_embeddings", true);
    if (config.mixer() instanceof Mamba1 mamba1) {
      json.put("model_type", "mamba").putArray("architectures").add("MambaForCausalLM");
      json.put("time_step_rank", mamba1.dtRank());
    } else if (config.mixer() instanceof Mamba2) {
      json.put("model_type", "mamba2").putArray("architectures").add("Mamba2ForCausalLM");
      json.put("num_heads", dims.heads());
      json.put("head_dim", dims.headDim());
      json.put("n_groups", dims.groups());
      json.putArray("time_step_limit").add(0.0).add(Double.POSITIVE_INFINITY);
    }
    return json;
  }
}
