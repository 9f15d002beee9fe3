package quamba.udf.model;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * To what a model's recurrent state is rounded, every 16 tokens of a sequence; see {@link
 * quamba.kernels.ScanState}.
 */
public enum StateFormat {
  /** Never rounded. */
  F32,
  /** binary16. */
  F16,
  /** int8 with a scale for each channel, found anew at each rounding. */
  I8,
  /** int8 with the scales of the checkpoint, which must have them for every layer. */
  I8_STATIC;

  /**
   * Reads a flag's value.
   *
   * @param flag that gave it, for the message
   */
  public static StateFormat parse(String flag, String text) {
    return Arrays.stream(values())
        .filter(format -> format.toString().equals(text))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "%s must be one of %s, found %s"
                        .formatted(
                            flag,
                            Arrays.stream(values())
                                .map(StateFormat::toString)
                                .collect(Collectors.joining(", ")),
                            text)));
  }

  /** The name that flags use. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
