package quamba.udf.quantizer;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** What a user asks for: bits of the blocks' weights, then of the activations that meet them. */
public enum Scheme {
  /** 8-bit weights with a scale a row, 8-bit activations. */
  W8A8(WeightFormat.INT8),
  /** 4-bit weights in groups, multiplied as 8-bit integers by 8-bit activations. */
  W4A8(WeightFormat.INT4_AS_INT8),
  /** 4-bit weights in groups, activations in floating point. */
  W4A16(WeightFormat.INT4),
  /** W4A8 or W4A16, chosen for each block. */
  W4AX(WeightFormat.INT4);

  private final WeightFormat weights;

  Scheme(WeightFormat weights) {
    this.weights = weights;
  }

  /**
   * The scheme of a flag's value, {@code w4a8} for example, in any case.
   *
   * @throws IllegalArgumentException naming the value and those that there are
   */
  public static Scheme parse(String flag) {
    return Arrays.stream(values())
        .filter(scheme -> scheme.flag().equals(flag.toLowerCase(Locale.ROOT)))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "scheme must be one of %s, found %s"
                        .formatted(
                            Arrays.stream(values())
                                .map(Scheme::flag)
                                .collect(Collectors.joining(", ")),
                            flag)));
  }

  /** As flags and file names write it: {@code w4a8}. */
  public String flag() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The schemes that a block may have, the cheapest first. */
  public List<Scheme> blockSchemes() {
    return this == W4AX ? List.of(W4A8, W4A16) : List.of(this);
  }

  /** Whether some block's activations are 8-bit, so that their ranges must be measured. */
  public boolean quantizesActivations() {
    return this != W4A16;
  }

  /**
   * How the blocks' large weights are stored and multiplied; for {@link #W4AX} how a block's are is
   * that of its own scheme.
   */
  public WeightFormat weights() {
    return weights;
  }
}
