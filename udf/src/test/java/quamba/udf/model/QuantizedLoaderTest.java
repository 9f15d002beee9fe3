package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static quamba.udf.model.QuantizedModel.Precision.W4A8;
import static quamba.udf.model.QuantizedModel.Precision.W8A8;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.Backends;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.model.Quantization.Rotation;
import quamba.udf.model.QuantizedNames.Tap;

/** Quantized checkpoints that are refused, by the tensor or key that is wrong. */
class QuantizedLoaderTest {
  private static final String PLAIN =
      """
      {"d_model": 24, "n_layer": 2, "vocab_size": 37,
       "ssm_cfg": {"layer": "Mamba2", "d_state": 10, "headdim": 12}%s}""";

  private static final String CONFIG =
      PLAIN.formatted(", \"quantization\": {\"version\": 1, \"scheme\": \"w4a8\"}");

  private static final String MIXER = "backbone.layers.0.mixer.";

  private static final int[] IDS = IntStream.range(0, 20).toArray();

  private final QuantizedModel source =
      new QuantizedModel(
          new RandomModel(CONFIG, DType.F32), List.of(W8A8, W4A8), W4A8, StateFormat.F32, IDS);

  private void assertRefused(String message) {
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> ModelLoader.check(source));
    assertEquals(message, refusal.getMessage());
    Capacity capacity = new Capacity(1, 1);
    assertThrows(
        InvalidCheckpointException.class,
        () -> ModelLoader.open(source, Backends.open("cpu", 1), capacity, 37));
  }

  @Test
  void namesAreWhatTheFormatSays() {
    assertEquals("backbone.layers.0.mixer.B_in_scale", QuantizedNames.scale(0, Tap.B_IN));
    assertEquals("lm_head.weight_scale", QuantizedNames.scale("lm_head.weight"));
    assertEquals(Rotation.NONE, ModelLoader.check(source).quantization().rotation());
  }

  @Test
  void layerWithSomeScalesNeedsThemAll() {
    source.tensors().remove(MIXER + "B_out_scale");
    assertRefused(
        "layer 0 has scales of [in_proj_input, z, x_in, B_in, C_in, x_out, C_out, dt, state,"
            + " out_proj_input]: missing tensor backbone.layers.0.mixer.B_out_scale");
  }

  @Test
  void codesNeedScales() {
    source.tensors().remove(MIXER + "in_proj.weight_scale");
    assertRefused(
        "tensor backbone.layers.0.mixer.in_proj.weight holds codes: missing tensor"
            + " backbone.layers.0.mixer.in_proj.weight_scale");
  }

  @Test
  void floatsNeedNoScales() {
    floats(MIXER + "in_proj.weight", 24 * 120, 120, 24);
    assertRefused(
        "tensor backbone.layers.0.mixer.in_proj.weight_scale: must not be there, as"
            + " backbone.layers.0.mixer.in_proj.weight is F32");
  }

  @Test
  void codesMeetCodes() {
    String name = MIXER + "out_proj.weight";
    source.tensors().remove(name + "_scale");
    floats(name, 24 * 48, 24, 48);
    assertRefused(
        "tensor %s: dtype must be I8 or U8, as its input is of codes, found F32".formatted(name));
  }

  @Test
  void headsCodesMeetCodes() {
    source.tensors().remove("backbone.embedding.weight_scale");
    floats("backbone.embedding.weight", 40 * 24, 40, 24);
    assertRefused(
        "tensor backbone.embedding.weight: dtype must be I8 or U8, as its input is of codes,"
            + " found F32");
  }

  @Test
  void matricesOfIntegersReadOneScale() {
    floats(MIXER + "in_proj_input_scale", 24, 24);
    assertRefused(
        "tensor backbone.layers.0.mixer.in_proj_input_scale: shape must be (1), found (24)");
  }

  @ParameterizedTest
  @CsvSource({"0, 0.0", "-1, -1.0", "NaN, NaN", "Infinity, Infinity"})
  void scalesAreOverZeroAndFinite(float scale, String found) {
    source.tensors().put(MIXER + "z_scale", HostTensor.of(Shape.of(1), scale));
    assertRefused(
        "tensor backbone.layers.0.mixer.z_scale: scales must be over 0 and finite, found " + found);
  }

  @Test
  void staticStatesNeedScales() {
    source.tensors().remove(MIXER + "state_scale");
    Capacity capacity = new Capacity(1, 1, StateFormat.I8_STATIC);
    ModelLoader.check(source);
    InvalidCheckpointException refusal =
        assertThrows(
            InvalidCheckpointException.class,
            () -> ModelLoader.open(source, Backends.open("cpu", 1), capacity, 37));
    assertEquals(
        "the state's format asks for static scales: missing tensor"
            + " backbone.layers.0.mixer.state_scale",
        refusal.getMessage());
  }

  @Test
  void modelsWithoutTheSectionHaveNoCodes() {
    RandomModel plain = new RandomModel(PLAIN.formatted(""), DType.F32);
    plain.tensors().put(MIXER + "in_proj.weight", source.tensors().get(MIXER + "in_proj.weight"));
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> ModelLoader.check(plain));
    assertEquals(
        "tensor backbone.layers.0.mixer.in_proj.weight: dtype must be F32, F16 or BF16, found I8",
        refusal.getMessage());
    plain.tensors().put(MIXER + "z_scale", HostTensor.of(Shape.of(1), 1));
    assertEquals(
        "checkpoint: missing tensors [], surplus tensors [backbone.layers.0.mixer.z_scale]",
        assertThrows(InvalidCheckpointException.class, () -> ModelLoader.check(plain))
            .getMessage());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{'version': 2, 'scheme': 'a'}|version must be 1, found 2",
        "{'scheme': 'a'}|version must be a whole number from 1 to 67108864, found nothing",
        "{'version': 1}|scheme must be the scheme's name, found nothing",
        "{'version': 1, 'scheme': 'a', 'rotation': 'klt'}|rotation must be none or hadamard, found \"klt\"",
        "{'version': 1, 'scheme': 'a', 'bits': 4}|bits must be absent (an option that is not known here), found 4"
      })
  void sectionIsReadStrictly(String section, String message) {
    String json = PLAIN.formatted(", \"quantization\": " + section.replace('\'', '"'));
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> ModelConfig.parse(json));
    assertEquals("config.json: quantization." + message, refusal.getMessage());
  }

  @Test
  void rotationNeedsAMatrixOfItsSize() {
    String section =
        ", \"quantization\": {\"version\": 1, \"scheme\": \"a\", \"rotation\": \"hadamard\"}";
    String json = PLAIN.formatted(section).replace("24", "27").replace("12", "6");
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> ModelConfig.parse(json));
    assertEquals(
        "config.json: quantization.rotation must be none: no Hadamard transform of size 54:"
            + " supported are 2^k, 12·2^k, 20·2^k, 28·2^k and 40·2^k, found \"hadamard\"",
        refusal.getMessage());
  }

  private void floats(String name, int count, int... dims) {
    float[] ones = new float[count];
    Arrays.fill(ones, 1);
    source.tensors().put(name, HostTensor.of(Shape.of(dims), ones));
  }
}
