package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Scan;
import quamba.udf.SharedFiles;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.ModelConfig.Tie;
import quamba.udf.model.ModelConfig.Vocabulary;

class ModelConfigTest {
  /** As published for state-spaces/mamba-130m: everything else is a default. */
  private static final String MAMBA1_130M =
      """
      {"d_model": 768, "n_layer": 24, "vocab_size": 50277, "ssm_cfg": {}, "rms_norm": true,
       "residual_in_fp32": true, "fused_add_norm": true, "pad_vocab_size_multiple": 8}""";

  private static final String MAMBA2_8B =
      """
      {"d_model": 4096, "d_intermediate": 0, "n_layer": 56, "vocab_size": 256000,
       "ssm_cfg": {"layer": "Mamba2", "ngroups": 8, "chunk_size": 128},
       "attn_layer_idx": [], "attn_cfg": {}, "rms_norm": true, "residual_in_fp32": true,
       "fused_add_norm": true, "pad_vocab_size_multiple": 128, "tie_embeddings": false}""";

  private static final String TRANSFORMERS_1 =
      """
      {"architectures": ["MambaForCausalLM"], "model_type": "mamba", "conv_kernel": 4,
       "eos_token_id": 0, "expand": 2, "hidden_act": "silu", "hidden_size": 64,
       "intermediate_size": 128, "layer_norm_epsilon": 1e-06, "num_hidden_layers": 3,
       "state_size": 16, "time_step_rank": "auto", "use_bias": false, "use_conv_bias": true,
       "tie_word_embeddings": true, "vocab_size": 512}""";

  private static final String TRANSFORMERS_2 =
      """
      {"architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2", "conv_kernel": 4,
       "eos_token_id": [2, 7], "expand": 2, "hidden_act": "silu", "hidden_size": 64,
       "num_heads": 8, "head_dim": 16, "n_groups": 2, "layer_norm_epsilon": 1e-05,
       "num_hidden_layers": 3, "state_size": 32, "chunk_size": 256, "time_step_rank": 4,
       "time_step_limit": [0.0, Infinity], "rms_norm": true, "norm_before_gate": true,
       "use_bias": false, "use_conv_bias": true, "tie_word_embeddings": false,
       "vocab_size": 512}""";

  @Test
  void mambaSsmFillsInMamba1Defaults() {
    ModelConfig config = ModelConfig.parse(MAMBA1_130M);

    assertEquals(768, config.modelDim());
    assertEquals(24, config.layers());
    assertEquals(1e-5f, config.epsilon());
    assertEquals(new Vocabulary(50277, 50280, Tie.TIED, List.of()), config.vocabulary());
    assertEquals(new Mamba1(new Scan.Dims(1536, 1, 16, 1), 4, 48), config.mixer());
    assertEquals(OptionalInt.empty(), config.endOfText());
  }

  @Test
  void mambaSsmFillsInMamba2Defaults() {
    ModelConfig config = ModelConfig.parse(MAMBA2_8B);

    assertEquals(new Vocabulary(256000, 256000, Tie.UNTIED, List.of()), config.vocabulary());
    assertEquals(new Mamba2(new Scan.Dims(128, 64, 128, 8), 4, Scan.Limit.NONE), config.mixer());
    assertEquals(18560, config.mixer().projected());
    assertEquals(10240, config.mixer().convChannels());
  }

  @Test
  void mambaSsmTakesEveryOption() {
    String json =
        """
        {"d_model": 48, "n_layer": 1, "vocab_size": 100, "pad_vocab_size_multiple": 16,
         "eos_token_id": 3,
         "ssm_cfg": {"layer": "Mamba2", "d_state": 32, "d_conv": 3, "expand": 1.5, "headdim": 12,
                     "ngroups": 2, "d_ssm": 72, "dt_limit": [0.01, 0.5], "dt_min": 0.001,
                     "conv_init": null, "D_has_hdim": false, "norm_before_gate": false}}""";
    ModelConfig config = ModelConfig.parse(json);

    assertEquals(112, config.vocabulary().rows());
    assertEquals(OptionalInt.of(3), config.endOfText());
    assertEquals(
        new Mamba2(new Scan.Dims(6, 12, 32, 2), 3, new Scan.Limit(0.01f, 0.5f)), config.mixer());
  }

  @Test
  void transformersMamba1() {
    ModelConfig config = ModelConfig.parse(TRANSFORMERS_1);

    assertEquals(64, config.modelDim());
    assertEquals(3, config.layers());
    assertEquals(1e-6f, config.epsilon());
    assertEquals(new Vocabulary(512, 512, Tie.TIED, List.of(0)), config.vocabulary());
    assertEquals(new Mamba1(new Scan.Dims(128, 1, 16, 1), 4, 4), config.mixer());
    assertEquals(OptionalInt.of(0), config.endOfText());
  }

  @Test
  void transformersMamba2() {
    ModelConfig config = ModelConfig.parse(TRANSFORMERS_2);

    assertEquals(new Vocabulary(512, 512, Tie.UNTIED, List.of(2, 7)), config.vocabulary());
    assertEquals(new Mamba2(new Scan.Dims(8, 16, 32, 2), 4, Scan.Limit.NONE), config.mixer());
    assertEquals(OptionalInt.of(2), config.endOfText());
  }

  @Test
  void headIsTiedByFamilyWhereTransformersSaysNothing() {
    String one = TRANSFORMERS_1.replace("\"tie_word_embeddings\": true,", "");
    String two = TRANSFORMERS_2.replace("\"tie_word_embeddings\": false,", "");

    assertEquals(Tie.TIED, ModelConfig.parse(one).vocabulary().tie());
    assertEquals(Tie.UNTIED, ModelConfig.parse(two).vocabulary().tie());
  }

  @ParameterizedTest
  @ValueSource(strings = {"Infinity", "\"inf\"", "\"Infinity\"", "{\"__float__\": \"Infinity\"}"})
  void infinityIsWrittenInManyWays(String infinity) {
    String json = TRANSFORMERS_2.replace("Infinity", infinity);

    assertEquals(
        new Scan.Limit(0, Float.POSITIVE_INFINITY),
        ((Mamba2) ModelConfig.parse(json).mixer()).limit());
  }

  @Test
  void largeLimitStaysFinite() {
    String json = TRANSFORMERS_2.replace("Infinity", "1e9");

    assertEquals(new Scan.Limit(0, 1e9f), ((Mamba2) ModelConfig.parse(json).mixer()).limit());
  }

  @ParameterizedTest
  @ValueSource(strings = {"mamba1-18m", "mamba2-5m", "mamba2-15m", "mamba2-g4-6m", "hf-mamba"})
  void sharedModelsAreUnderstood(String model) throws IOException {
    String json = Files.readString(SharedFiles.shared("models").resolve(model + "/config.json"));

    boolean mamba2 = ModelConfig.parse(json).mixer() instanceof Mamba2;
    assertEquals(model.contains("mamba2"), mamba2);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          "attn_layer_idx": []       | "attn_layer_idx": [9, 18]  | attn_layer_idx must be empty, found [9,18]
          "d_intermediate": 0        | "d_intermediate": 2048     | d_intermediate must be 0, found 2048
          "rms_norm": true           | "rms_norm": false          | rms_norm must be true, found false
          "rms_norm": true           | "rms_norm": "yes"          | rms_norm must be true or false, found "yes"
          "d_model": 4096            | "d_model": 0               | d_model must be a whole number from 1 to 67108864, found 0
          "d_model": 4096            | "d_model": -4096           | d_model must be a whole number from 1
          "d_model": 4096            | "d_model": 4096.5          | d_model must be a whole number from 1
          "d_model": 4096            | "d_model": 99999999999     | d_model must be a whole number from 1
          "n_layer": 56,             |                            | n_layer must be a whole number from 1 to 67108864, found nothing
          "n_layer": 56              | "n_layer": 1000000         | layers: at most 10000, found 1000000
          "vocab_size": 256000       | "vocab_size": 60000000     | backbone.embedding.weight: at most 2147483647
          "vocab_size": 256000       | "vocab_size": null         | vocab_size must be a whole number
          "ngroups": 8               | "ngroups": 7               | ssm_cfg.ngroups must be a divisor of the number of heads 128, found 7
          "ngroups": 8               | "headdim": 100             | ssm_cfg.headdim must be a divisor of the inner width 8192, found 100
          "ngroups": 8               | "d_ssm": 4096              | ssm_cfg.d_ssm must be 8192, found 4096
          "ngroups": 8               | "bias": true               | ssm_cfg.bias must be false, found true
          "ngroups": 8               | "conv_bias": false         | ssm_cfg.conv_bias must be true, found false
          "ngroups": 8               | "rmsnorm": false           | ssm_cfg.rmsnorm must be true, found false
          "ngroups": 8               | "norm_before_gate": true   | ssm_cfg.norm_before_gate must be false, found true
          "ngroups": 8               | "D_has_hdim": true         | ssm_cfg.D_has_hdim must be false, found true
          "ngroups": 8               | "dt_limit": [1, 0.5]       | ssm_cfg.dt_limit must be two numbers
          "ngroups": 8               | "dt_limit": [0, 1, 2]      | ssm_cfg.dt_limit must be two numbers
          "ngroups": 8               | "dt_limit": [0, NaN]       | ssm_cfg.dt_limit must be two numbers
          "ngroups": 8               | "d_conv": 1                | convolution width must be over 1
          "ngroups": 8               | "d_state": 60000000        | states of a layer: at most 2147483647
          "chunk_size": 128          | "d_state": 9000000         | groups and states: at most 67108864, found 72000000
          "ngroups": 8               | "expand": 1e300            | ssm_cfg.expand must be such that
          "ngroups": 8               | "expand": "two"            | ssm_cfg.expand must be a number, found "two"
          "ngroups": 8               | "dt_rank": 16              | ssm_cfg.dt_rank must be absent
          "ngroups": 8               | "use_rope": true           | ssm_cfg.use_rope must be absent (an option that is not known here), found true
          "Mamba2"                   | "Mamba3"                   | ssm_cfg.layer must be Mamba1 or Mamba2, found "Mamba3"
          "Mamba2"                   | 2                          | ssm_cfg.layer must be a text, found 2
          "Mamba2"                   | "Mamba1"                   | ssm_cfg.chunk_size must be absent
          "tie_embeddings": false    | "eos_token_id": -1         | eos_token_id must be an id or a list of ids, found -1
          """)
  void mambaSsmRefusals(String good, String bad, String message) {
    assertRefused(MAMBA2_8B, good, bad, message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          "use_bias": false                | "use_bias": true                 | use_bias must be false, found true
          "use_conv_bias": true            | "use_conv_bias": false           | use_conv_bias must be true, found false
          "hidden_act": "silu"             | "hidden_act": "gelu"             | hidden_act must be silu, found "gelu"
          "rms_norm": true                 | "rms_norm": false                | rms_norm must be true, found false
          "hidden_size": 64,               |                                  | hidden_size must be a whole number from 1 to 67108864, found nothing
          "num_heads": 8                   | "num_heads": 9                   | num_heads must be such that it times head_dim is 128, found 9
          "n_groups": 2                    | "n_groups": 3                    | n_groups must be a divisor of num_heads 8, found 3
          "expand": 2                      | "intermediate_size": 64          | intermediate_size must be 128, found 64
          "layer_norm_epsilon": 1e-05      | "layer_norm_epsilon": 0          | layer_norm_epsilon must be over 0 and finite, found 0
          "layer_norm_epsilon": 1e-05      | "layer_norm_epsilon": Infinity   | layer_norm_epsilon must be over 0 and finite
          ["Mamba2ForCausalLM"]            | ["MambaForCausalLM"]             | found mamba2 [MambaForCausalLM]
          "model_type": "mamba2"           | "model_type": "bamba"            | found bamba [Mamba2ForCausalLM]
          ["Mamba2ForCausalLM"]            | ["NemotronHForCausalLM"]         | found mamba2 [NemotronHForCausalLM]
          "model_type": "mamba2"           | "model_type": "falcon_mamba"     | other norms such as FalconMamba
          """)
  void transformersRefusals(String good, String bad, String message) {
    assertRefused(TRANSFORMERS_2, good, bad, message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          {"d_model": 4,           | config.json is not JSON
          [1]                      | config.json must be an object, found [1]
          {"hidden_size": 64}      | found neither
          """)
  void otherFilesAreRefused(String json, String message) {
    InvalidCheckpointException e =
        assertThrows(InvalidCheckpointException.class, () -> ModelConfig.parse(json));
    assertTrue(e.getMessage().contains(message), e.getMessage());
  }

  private static void assertRefused(String json, String good, String bad, String message) {
    assertTrue(json.contains(good), good);
    String changed = json.replace(good, bad == null ? "" : bad);
    InvalidCheckpointException e =
        assertThrows(InvalidCheckpointException.class, () -> ModelConfig.parse(changed));
    assertTrue(e.getMessage().contains(message), e.getMessage());
  }
}
