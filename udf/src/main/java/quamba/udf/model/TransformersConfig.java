package quamba.udf.model;

import java.util.List;
import quamba.kernels.Scan;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.ModelConfig.Mixer;
import quamba.udf.model.ModelConfig.Tie;
import quamba.udf.model.ModelConfig.Vocabulary;

/**
 * transformers' config.json of MambaForCausalLM and Mamba2ForCausalLM.
 *
 * <p>Two of its habits are not followed. Its eager Mamba2 takes the gated norm's mean square over
 * the whole inner width whatever n_groups; mamba_ssm, and the fused kernel that transformers itself
 * trains with, take it per group. Weights with n_groups over 1 were trained per group, so that is
 * what is computed. And {@code norm_before_gate} is a default that old versions wrote (as true) and
 * no version reads: the gate always comes first.
 */
final class TransformersConfig {
  private TransformersConfig() {}

  static ModelConfig read(ConfigObject config) {
    Family family = family(config);
    config.requireFalse("use_bias");
    config.requireTrue("use_conv_bias");
    config.requireTrue("rms_norm");
    if (!config.text("hidden_act", "silu").equals("silu")) {
      throw config.refusal("hidden_act", "silu");
    }
    int modelDim = config.size("hidden_size");
    int layers = config.size("num_hidden_layers");
    float epsilon = config.positive("layer_norm_epsilon", 1e-5);
    int innerDim = config.multiple(modelDim, "expand", 2);
    config.requireSize("intermediate_size", innerDim);
    Mixer mixer =
        family == Family.MAMBA1 ? mamba1(config, modelDim, innerDim) : mamba2(config, innerDim);
    return new ModelConfig(
        modelDim,
        layers,
        epsilon,
        vocabulary(config, family),
        mixer,
        Quantization.read(config, innerDim));
  }

  private enum Family {
    MAMBA1,
    MAMBA2
  }

  private static Family family(ConfigObject config) {
    List<String> architectures = config.texts("architectures");
    String type = config.text("model_type", "");
    if (type.isEmpty() && architectures.isEmpty()) {
      throw new InvalidCheckpointException(
          "config.json must have d_model (mamba_ssm) or model_type and architectures"
              + " (transformers), found neither");
    }
    boolean anyType = type.isEmpty();
    boolean anyArchitecture = architectures.isEmpty();
    if ((anyType || type.equals("mamba"))
        && (anyArchitecture || architectures.equals(List.of("MambaForCausalLM")))) {
      return Family.MAMBA1;
    }
    if ((anyType || type.equals("mamba2"))
        && (anyArchitecture || architectures.equals(List.of("Mamba2ForCausalLM")))) {
      return Family.MAMBA2;
    }
    throw new InvalidCheckpointException(
        ("config.json must be of model_type mamba (MambaForCausalLM) or mamba2 (Mamba2ForCausalLM),"
                + " found %s %s; hybrids with attention or MLP layers, and variants with other norms"
                + " such as FalconMamba, are not supported")
            .formatted(type, architectures));
  }

  private static Vocabulary vocabulary(ConfigObject config, Family family) {
    int vocab = config.size("vocab_size");
    boolean tied =
        family == Family.MAMBA1
            ? !config.isFalse("tie_word_embeddings")
            : config.isTrue("tie_word_embeddings");
    return new Vocabulary(vocab, vocab, tied ? Tie.TIED : Tie.UNTIED, config.ids("eos_token_id"));
  }

  private static Mamba1 mamba1(ConfigObject config, int modelDim, int innerDim) {
    Scan.Dims dims = new Scan.Dims(innerDim, 1, config.size("state_size"), 1);
    int dtRank = config.sizeOrAuto("time_step_rank", (modelDim + 15) / 16);
    return new Mamba1(dims, config.size("conv_kernel", 4), dtRank);
  }

  private static Mamba2 mamba2(ConfigObject config, int innerDim) {
    int headDim = config.size("head_dim");
    int heads = config.size("num_heads");
    if ((long) heads * headDim != innerDim) {
      throw config.refusal("num_heads", "such that it times head_dim is " + innerDim);
    }
    int groups = config.size("n_groups");
    if (heads % groups != 0) {
      throw config.refusal("n_groups", "a divisor of num_heads " + heads);
    }
    Scan.Dims dims = new Scan.Dims(heads, headDim, config.size("state_size"), groups);
    return new Mamba2(dims, config.size("conv_kernel", 4), config.limit("time_step_limit"));
  }
}
