package quamba.udf.recipe;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** How the embedding or the head is stored. */
public enum TableFormat {
  F16,
  I8,
  I4;

  /**
   * Reads a flag's value.
   *
   * @param flag that gave it, for the message
   */
  public static TableFormat parse(String flag, String text) {
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
                                .map(TableFormat::toString)
                                .collect(Collectors.joining(", ")),
                            text)));
  }

  /** The name that flags use. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
