package quamba.kernels;

/** How the mixer's output y meets its gate z. */
public sealed interface Gate {
  /** {@code out = y · silu(z)} (Mamba1). */
  record Plain() implements Gate {}

  /**
   * {@code out = norm(y · silu(z))}, the mean square taken over each of {@code groups} equal parts
   * of a row (Mamba2, gate before norm).
   *
   * @param norm weight (innerDim) f32
   * @param groups parts of a row
   */
  record Normed(Norm norm, int groups) implements Gate {}
}
