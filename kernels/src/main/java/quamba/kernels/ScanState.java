package quamba.kernels;

/**
 * To what the state of {@link Backend#scan} is rounded, and how often: when a sequence has seen a
 * multiple of {@link #INTERVAL} tokens, counted from its start and so whatever its tokens are cut
 * into calls. Between such positions the recurrence goes on in f32, and the y of a token comes from
 * the state before it is rounded. A device therefore keeps the rounded state and replays the inputs
 * since, or keeps f32 and rounds in place.
 */
public sealed interface ScanState {
  /** Tokens from one rounding to the next. */
  int INTERVAL = 16;

  /** Never rounded. */
  record F32() implements ScanState {}

  /** To the nearest number of IEEE 754 binary16, ties to even, at most 65504 in magnitude. */
  record F16() implements ScanState {}

  /**
   * To int8 codes with a scale for each channel of each slot, found anew at each rounding: the
   * largest magnitude of the channel's stateDim elements / 127. The code is element / scale rounded
   * to nearest, ties to even; all 0 where the scale is below the smallest normal number.
   */
  record RowScaled() implements ScanState {}

  /**
   * To int8 codes with scales that are given: element / scale rounded to nearest, ties to even,
   * held to −128 … 127.
   *
   * @param scale (heads, headDim, stateDim) f32, over 0
   */
  record StaticScaled(Tensor scale) implements ScanState {}
}
