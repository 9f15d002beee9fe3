package quamba.udf.model;

import java.util.Set;
import quamba.kernels.Hadamard;

/**
 * The section {@code quantization} of config.json, see {@link QuantizedNames}.
 *
 * @param scheme what the maker called it; {@value #NO_SCHEME} if there is no section
 * @param rotation of every out_proj's input
 */
public record Quantization(String scheme, Rotation rotation) {
  private static final String KEY = "quantization";
  private static final int VERSION = 1;
  private static final String NO_SCHEME = "none";

  /** A model in floating point. */
  public static final Quantization NONE = new Quantization(NO_SCHEME, Rotation.NONE);

  /** What is done to an activation before it is rounded. */
  public enum Rotation {
    NONE,
    /** {@link Hadamard#apply(float[], int)}. */
    HADAMARD
  }

  /** Whether config.json has the section. */
  public boolean isPresent() {
    return !scheme.equals(NO_SCHEME);
  }

  /** Reads the section for a mixer of this width. */
  static Quantization read(ConfigObject config, int innerDim) {
    if (!config.has(KEY)) {
      return NONE;
    }
    ConfigObject section = config.child(KEY);
    section.requireKnown(Set.of("version", "scheme", "rotation", "recipe"));
    if (section.size("version") != VERSION) {
      throw section.refusal("version", String.valueOf(VERSION));
    }
    String scheme = section.text("scheme", "");
    if (scheme.isEmpty() || scheme.equals(NO_SCHEME)) {
      throw section.refusal("scheme", "the scheme's name");
    }
    return new Quantization(scheme, rotation(section, innerDim));
  }

  private static Rotation rotation(ConfigObject section, int innerDim) {
    return switch (section.text("rotation", "none")) {
      case "none" -> Rotation.NONE;
      case "hadamard" -> {
        try {
          Hadamard.of(innerDim);
        } catch (IllegalArgumentException e) {
          throw section.refusal("rotation", "none: " + e.getMessage());
        }
        yield Rotation.HADAMARD;
      }
      default -> throw section.refusal("rotation", "none or hadamard");
    };
  }
}
