package quamba.udf.benchmark;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import quamba.udf.model.ModelConfig;
import quamba.udf.quantizer.Scheme;

/**
 * Extents of a published model, or of a tiny one of the same family.
 *
 * @param name as options write it
 * @param family {@code Mamba1} or {@code Mamba2}
 * @param modelDim width of the residual stream
 * @param layers number of blocks
 * @param groups of B and C; 1 in Mamba1
 * @param vocab ids
 * @param padding what the rows of the tables are a multiple of
 */
record ModelShape(
    String name, String family, int modelDim, int layers, int groups, int vocab, int padding) {
  private static final List<ModelShape> KNOWN =
      List.of(
          new ModelShape("mamba2-130m", "Mamba2", 768, 24, 1, 50277, 16),
          new ModelShape("mamba2-370m", "Mamba2", 1024, 48, 1, 50277, 16),
          new ModelShape("mamba2-780m", "Mamba2", 1536, 48, 1, 50277, 16),
          new ModelShape("mamba2-1.3b", "Mamba2", 2048, 48, 1, 50277, 16),
          new ModelShape("mamba2-2.7b", "Mamba2", 2560, 64, 1, 50277, 16),
          new ModelShape("mamba2-8b", "Mamba2", 4096, 56, 8, 256000, 16),
          new ModelShape("mamba2-tiny", "Mamba2", 128, 2, 2, 1003, 16),
          new ModelShape("mamba1-130m", "Mamba1", 768, 24, 1, 50277, 8),
          new ModelShape("mamba1-370m", "Mamba1", 1024, 48, 1, 50277, 8),
          new ModelShape("mamba1-1.4b", "Mamba1", 2048, 48, 1, 50277, 8),
          new ModelShape("mamba1-2.8b", "Mamba1", 2560, 64, 1, 50277, 8),
          new ModelShape("mamba1-tiny", "Mamba1", 128, 2, 1, 1003, 8));

  /**
   * The shape of this name.
   *
   * @throws IllegalArgumentException naming the shapes that there are
   */
  static ModelShape parse(String name) {
    return KNOWN.stream()
        .filter(shape -> shape.name.equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "--models must be of %s, found %s"
                        .formatted(
                            KNOWN.stream().map(ModelShape::name).collect(Collectors.joining(", ")),
                            name)));
  }

  /** The shapes of these names, with commas between them. */
  static List<ModelShape> parseAll(String names) {
    return Arrays.stream(names.split(",", -1)).map(ModelShape::parse).toList();
  }

  /** This with fewer or more layers. */
  ModelShape withLayers(int count) {
    String shorter = "%s-%d-layers".formatted(name, count);
    return new ModelShape(shorter, family, modelDim, count, groups, vocab, padding);
  }

  /** The text of config.json, as the quantizer writes it: rotated, with a head of its own. */
  String config(Scheme scheme) {
    String mixer =
        family.equals("Mamba2")
            ? "\"layer\": \"Mamba2\", \"ngroups\": " + groups
            : "\"layer\": \"Mamba1\"";
    return """
        {"d_model": %d, "n_layer": %d, "vocab_size": %d, "pad_vocab_size_multiple": %d,
         "tie_embeddings": false, "rms_norm": true, "ssm_cfg": {%s},
         "quantization": {"version": 1, "scheme": "%s", "rotation": "hadamard",
          "recipe": {"weights": "random"}}}
        """
        .formatted(modelDim, layers, vocab, padding, mixer, scheme.flag());
  }

  /** What {@link #config} says. */
  ModelConfig parsed(Scheme scheme) {
    return ModelConfig.parse(config(scheme));
  }
}
