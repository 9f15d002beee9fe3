package quamba.udf.model;

import java.util.Set;
import java.util.TreeSet;
import quamba.kernels.Scan;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.ModelConfig.Mamba2;
import quamba.udf.model.ModelConfig.Mixer;
import quamba.udf.model.ModelConfig.Tie;
import quamba.udf.model.ModelConfig.Vocabulary;

/** mamba_ssm's config.json; {@code ssm_cfg} holds arguments of the mixer's constructor. */
final class MambaSsmConfig {
  /** mamba_ssm has no key for it. */
  private static final float EPSILON = 1e-5f;

  /** Read by both families, or without effect on inference. */
  private static final Set<String> COMMON =
      Set.of(
          "layer",
          "d_state",
          "d_conv",
          "expand",
          "bias",
          "conv_bias",
          "dt_min",
          "dt_max",
          "dt_init_floor",
          "layer_idx",
          "device",
          "dtype");

  private static final Set<String> MAMBA1_ONLY =
      Set.of("dt_rank", "dt_init", "dt_scale", "use_fast_path");

  private static final Set<String> MAMBA2_ONLY =
      Set.of(
          "headdim",
          "ngroups",
          "d_ssm",
          "dt_limit",
          "D_has_hdim",
          "rmsnorm",
          "norm_before_gate",
          "chunk_size",
          "conv_init",
          "A_init_range",
          "use_mem_eff_path",
          "sequence_parallel");

  private MambaSsmConfig() {}

  static ModelConfig read(ConfigObject config) {
    config.requireEmpty("attn_layer_idx");
    config.requireZero("d_intermediate");
    config.requireTrue("rms_norm");
    int modelDim = config.size("d_model");
    int vocab = config.size("vocab_size");
    Vocabulary vocabulary =
        new Vocabulary(
            vocab,
            padded(vocab, config.size("pad_vocab_size_multiple", 8)),
            config.isFalse("tie_embeddings") ? Tie.UNTIED : Tie.TIED,
            config.ids("eos_token_id"));
    Mixer mixer = mixer(config.child("ssm_cfg"), modelDim);
    return new ModelConfig(
        modelDim,
        config.size("n_layer"),
        EPSILON,
        vocabulary,
        mixer,
        Quantization.read(config, mixer.innerDim()));
  }

  private static int padded(int vocab, int multiple) {
    return (vocab + multiple - 1) / multiple * multiple;
  }

  private static Mixer mixer(ConfigObject options, int modelDim) {
    String layer = options.text("layer", "Mamba1");
    options.requireFalse("bias");
    options.requireTrue("conv_bias");
    return switch (layer) {
      case "Mamba1" -> mamba1(options, modelDim);
      case "Mamba2" -> mamba2(options, modelDim);
      default -> throw options.refusal("layer", "Mamba1 or Mamba2");
    };
  }

  private static Mamba1 mamba1(ConfigObject options, int modelDim) {
    options.requireKnown(union(COMMON, MAMBA1_ONLY));
    int innerDim = options.multiple(modelDim, "expand", 2);
    Scan.Dims dims = new Scan.Dims(innerDim, 1, options.size("d_state", 16), 1);
    int dtRank = options.sizeOrAuto("dt_rank", (modelDim + 15) / 16);
    return new Mamba1(dims, options.size("d_conv", 4), dtRank);
  }

  private static Mamba2 mamba2(ConfigObject options, int modelDim) {
    options.requireKnown(union(COMMON, MAMBA2_ONLY));
    options.requireTrue("rmsnorm");
    options.requireFalse("norm_before_gate");
    options.requireFalse("D_has_hdim");
    int innerDim = options.multiple(modelDim, "expand", 2);
    options.requireSize("d_ssm", innerDim);
    int headDim = options.size("headdim", 64);
    if (innerDim % headDim != 0) {
      throw options.refusal("headdim", "a divisor of the inner width " + innerDim);
    }
    int heads = innerDim / headDim;
    int groups = options.size("ngroups", 1);
    if (heads % groups != 0) {
      throw options.refusal("ngroups", "a divisor of the number of heads " + heads);
    }
    Scan.Dims dims = new Scan.Dims(heads, headDim, options.size("d_state", 128), groups);
    return new Mamba2(dims, options.size("d_conv", 4), options.limit("dt_limit"));
  }

  private static Set<String> union(Set<String> common, Set<String> more) {
    Set<String> all = new TreeSet<>(common);
    all.addAll(more);
    return all;
  }
}
