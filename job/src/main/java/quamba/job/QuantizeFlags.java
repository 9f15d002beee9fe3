package quamba.job;

import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Set;
import picocli.CommandLine.Option;
import quamba.udf.quantizer.Scheme;
import quamba.udf.recipe.Recipe;
import quamba.udf.recipe.Recipe.Technique;
import quamba.udf.recipe.TableFormat;

/** The flags of a job that quantizes, as they are typed. */
final class QuantizeFlags {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "folder of the checkpoint in floating point")
  private Path model;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "folder to write; must not exist, or be empty")
  private Path output;

  @Option(
      names = "--scheme",
      required = true,
      paramLabel = "SCHEME",
      description = "w8a8, w4a8, w4a16 or w4ax: bits of weights and activations")
  private String scheme;

  @Option(
      names = "--calibration",
      required = true,
      paramLabel = "PATH",
      description =
          "texts like those to come: .parquet or .jsonl with a column text, or plain text")
  private String calibration;

  @Option(
      names = "--samples",
      paramLabel = "N",
      defaultValue = "512",
      description = "texts to measure with; default: ${DEFAULT-VALUE}")
  private int samples;

  @Option(
      names = "--sample-tokens",
      paramLabel = "N",
      defaultValue = "512",
      description = "tokens of a text that are used; default: ${DEFAULT-VALUE}")
  private int sampleTokens;

  @Option(
      names = "--embedding",
      paramLabel = "FORMAT",
      description = "f16, i8 or i4; default: i8 for w8a8, else i4")
  private String embedding;

  @Option(
      names = "--head",
      paramLabel = "FORMAT",
      description = "f16, i8 or i4; default: i8 for w8a8, else i4")
  private String head;

  @Option(
      names = "--no-gptq",
      description = "round weights without regard to inputs; default: with regard")
  private boolean withoutGptq;

  @Option(names = "--no-rotation", description = "leave out the Hadamard rotation; default: rotate")
  private boolean withoutRotation;

  @Option(
      names = "--no-grouping",
      description = "one scale for all channels of Mamba2's x; default: for up to 16 groups")
  private boolean withoutGrouping;

  @Option(
      names = "--no-state-groups",
      description = "one scale for all of B, and of C; default: for each state group")
  private boolean withoutStateGroups;

  @Option(names = "--static-state", description = "scales for --state i8-static; default: none")
  private boolean staticState;

  @Option(
      names = "--w4ax-budget",
      paramLabel = "X",
      defaultValue = "0.25",
      description = "share of layers that w4ax runs as w4a16; default: ${DEFAULT-VALUE}")
  private double budget;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "of the clustering; default: ${DEFAULT-VALUE}")
  private long seed;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "cpu",
      description = "cpu; default: ${DEFAULT-VALUE}")
  private String device;

  /**
   * What the flags mean.
   *
   * @throws IllegalArgumentException naming the flag, what it may be and what it was
   */
  QuantizeConfig config() {
    if (!device.equals("cpu")) {
      throw new IllegalArgumentException("--device must be cpu, found " + device);
    }
    return new QuantizeConfig(
        model,
        output,
        recipe(),
        new QuantizeConfig.Samples(calibration, samples, sampleTokens),
        seed);
  }

  private Recipe recipe() {
    Scheme parsed = Scheme.parse(scheme);
    Set<Technique> techniques = EnumSet.allOf(Technique.class);
    if (!staticState) {
      techniques.remove(Technique.STATIC_STATE);
    }
    if (withoutGptq) {
      techniques.remove(Technique.GPTQ);
    }
    if (withoutRotation) {
      techniques.remove(Technique.ROTATION);
    }
    if (withoutGrouping) {
      techniques.remove(Technique.GROUPING);
    }
    if (withoutStateGroups) {
      techniques.remove(Technique.STATE_GROUPS);
    }
    return new Recipe(
        parsed,
        table("--embedding", embedding, parsed),
        table("--head", head, parsed),
        techniques,
        budget);
  }

  private static TableFormat table(String flag, String text, Scheme scheme) {
    return text == null ? Recipe.table(scheme) : TableFormat.parse(flag, text);
  }
}
