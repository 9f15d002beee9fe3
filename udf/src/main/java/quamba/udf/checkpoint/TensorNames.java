package quamba.udf.checkpoint;

import java.util.List;

/**
 * Names of Mamba tensors as mamba_ssm writes them, from those of other writers. A name that none of
 * them uses stays as it is: whoever loads the model refuses it.
 */
final class TensorNames {
  /**
   * Beginning of a foreign name and what mamba_ssm has in its place: transformers (embeddings),
   * then Megatron, whose suffixes within a layer are already the same.
   */
  private record Prefix(String foreign, String ours) {}

  private static final List<Prefix> PREFIXES =
      List.of(
          new Prefix("backbone.embeddings.", "backbone.embedding."),
          new Prefix("backbone.", "backbone."),
          new Prefix("lm_head.", "lm_head."),
          new Prefix("embedding.word_embeddings.", "backbone.embedding."),
          new Prefix("decoder.layers.", "backbone.layers."),
          new Prefix("decoder.final_norm.", "backbone.norm_f."),
          new Prefix("output_layer.", "lm_head."));

  /** Megatron and Codestral keep the model in a dictionary of this name. */
  private static final String WRAPPER = "model.";

  private TensorNames() {}

  /** The name that mamba_ssm gives the tensor that a file calls {@code name}. */
  static String ours(String name) {
    String inner = name.startsWith(WRAPPER) ? name.substring(WRAPPER.length()) : name;
    return PREFIXES.stream()
        .filter(prefix -> inner.startsWith(prefix.foreign()))
        .findFirst()
        .map(prefix -> prefix.ours() + inner.substring(prefix.foreign().length()))
        .orElse(name);
  }
}
