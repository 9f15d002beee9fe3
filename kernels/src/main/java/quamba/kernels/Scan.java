package quamba.kernels;

/**
 * The selective state-space recurrence of Mamba1 and Mamba2 (spec 1.2, 1.3). Per head h, with
 * {@code g = h / (heads / groups)}:
 *
 * <pre>
 *   dt  = clamp(softplus(dtRaw + dtBias[h]), dtMin, dtMax)
 *   S_t = exp(dt · a[h]) S_{t-1} + dt · x_t ⊗ B_t[g]       (headDim × stateDim)
 *   y_t = S_t C_t[g] + skip[h] · x_t
 * </pre>
 *
 * Mamba1 is the case heads = innerDim, headDim = 1, groups = 1 with {@code a} per state.
 *
 * @param a (heads) for Mamba2, (heads, stateDim) for Mamba1, f32: −exp(A_log)
 * @param dtBias (heads) f32
 * @param skip (heads) f32, the papers' D
 * @param dims extents
 * @param limit bounds of dt
 * @see ScanState for what is kept of S between calls
 */
public record Scan(Tensor a, Tensor dtBias, Tensor skip, Dims dims, Limit limit) {
  /** Extents of the recurrence; x has heads · headDim columns, B and C have groups · stateDim. */
  public record Dims(int heads, int headDim, int stateDim, int groups) {
    /** Checks that heads fall into groups evenly. */
    public Dims {
      if (heads < 1 || headDim < 1 || stateDim < 1 || groups < 1 || heads % groups != 0) {
        throw new IllegalArgumentException(
            "scan dims: heads %d, headDim %d, stateDim %d, groups %d: all at least 1, heads a multiple of groups"
                .formatted(heads, headDim, stateDim, groups));
      }
    }

    /** heads · headDim. */
    public int innerDim() {
      return heads * headDim;
    }
  }

  /** Bounds of dt after softplus; (0, ∞) for none. */
  public record Limit(float min, float max) {
    public static final Limit NONE = new Limit(0, Float.POSITIVE_INFINITY);
  }
}
