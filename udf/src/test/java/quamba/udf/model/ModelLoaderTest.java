package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.Backends;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.SafetensorsWriter;
import quamba.udf.checkpoint.TensorSource;

class ModelLoaderTest {
  private static final Capacity CAPACITY = new Capacity(2, 16);
  private static final int[] IDS = {3, 1, 4, 1, 5, 9, 2, 6};

  private static final String MAMBA1 =
      """
      {"d_model": 20, "n_layer": 2, "vocab_size": 37, "ssm_cfg": {"d_state": 5}}""";

  private static final String MAMBA2 =
      """
      {"d_model": 24, "n_layer": 2, "vocab_size": 37,
       "ssm_cfg": {"layer": "Mamba2", "d_state": 10, "headdim": 12}}""";

  private final RandomModel source = new RandomModel(MAMBA2, DType.F16, DType.BF16);

  private static float[][] logits(TensorSource source) {
    try (MambaModel model = ModelLoader.open(source, Backends.open("cpu", 1), CAPACITY, 37)) {
      return Rows.logits(model, 0, 16, IDS);
    }
  }

  private void assertRefused(String... parts) {
    InvalidCheckpointException e =
        assertThrows(InvalidCheckpointException.class, () -> ModelLoader.check(source));
    for (String part : parts) {
      assertTrue(e.getMessage().contains(part), e.getMessage());
    }
    assertThrows(InvalidCheckpointException.class, () -> logits(source));
  }

  @Test
  void filesGiveTheSameModelAsMemory(@TempDir Path dir) throws IOException {
    for (String config : new String[] {MAMBA1, MAMBA2}) {
      RandomModel random = new RandomModel(config, DType.F32, DType.F16, DType.BF16);
      Files.writeString(dir.resolve("config.json"), config);
      SafetensorsWriter.writeAll(dir.resolve("model.safetensors"), Map.of(), random.tensors());
      try (Checkpoint checkpoint = Checkpoint.open(dir)) {
        assertEquals(random.parsed(), ModelLoader.check(checkpoint));
        assertArrayEquals(logits(random), logits(checkpoint));
      }
    }
  }

  @Test
  void modelSaysWhatItWasOpenedFor() {
    try (MambaModel model = ModelLoader.open(source, Backends.open("cpu", 1), CAPACITY, 33)) {
      assertEquals(2, model.slots());
      assertEquals(16, model.tokensPerStep());
      assertEquals(33, model.vocab());
      assertEquals(40, model.logitsWidth());
      assertEquals(source.parsed(), model.config());
    }
  }

  @Test
  void missingAndSurplusTensorsAreNamed() {
    HostTensor bias = source.tensors().remove("backbone.layers.1.mixer.dt_bias");
    source.tensors().put("backbone.layers.1.mixer.in_proj.bias", bias);

    assertRefused(
        "missing tensors [backbone.layers.1.mixer.dt_bias]",
        "surplus tensors [backbone.layers.1.mixer.in_proj.bias]");
  }

  @Test
  void manyNamesAreCounted() {
    source.tensors().keySet().removeIf(name -> name.contains("layers.0"));

    assertRefused("and 4 more, surplus tensors []");
  }

  @Test
  void otherShapesAreRefused() {
    source.add("backbone.norm_f.weight", Shape.of(23), 1, 0);

    assertRefused("tensor backbone.norm_f.weight: shape must be (24), found (23)");
  }

  @Test
  void otherDtypesAreRefused() {
    ByteBuffer data = ByteBuffer.allocateDirect(24 * Integer.BYTES);
    source.tensors().put("backbone.norm_f.weight", new HostTensor(DType.I32, Shape.of(24), data));

    assertRefused("tensor backbone.norm_f.weight: dtype must be F32, F16 or BF16, found I32");
  }

  @Test
  void headOfItsOwnIsUsedEvenIfTied() {
    float[][] tied = logits(source);
    HostTensor table = source.tensor("backbone.embedding.weight");
    source.tensors().put("lm_head.weight", table);
    assertArrayEquals(tied, logits(source));

    source.add("lm_head.weight", table.shape(), 0, 1);
    assertFalse(Arrays.deepEquals(tied, logits(source)));
    double[] expected = ModelOracle.logits(source, ModelOracle.Taps.NONE, IDS)[7];
    float[] found = logits(source)[7];
    for (int id = 0; id < expected.length; id++) {
      assertEquals(expected[id], found[id], 1e-4);
    }
  }

  @Test
  void untiedHeadMustBeThere() {
    RandomModel untied =
        new RandomModel(
            MAMBA2.replace("{\"d_model", "{\"tie_embeddings\": false, \"d_model"), DType.F32);
    untied.tensors().remove("lm_head.weight");

    InvalidCheckpointException e =
        assertThrows(InvalidCheckpointException.class, () -> ModelLoader.check(untied));
    assertTrue(e.getMessage().contains("missing tensors [lm_head.weight]"), e.getMessage());
  }

  @Test
  void tokenizerMustNotKnowMoreIds() {
    InvalidCheckpointException e =
        assertThrows(
            InvalidCheckpointException.class,
            () -> ModelLoader.open(source, Backends.open("cpu", 1), CAPACITY, 38));
    assertEquals("vocabulary: the model has 37 ids, the tokenizer 38", e.getMessage());
  }
}
