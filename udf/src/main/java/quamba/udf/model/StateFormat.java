package quamba.udf.model;

/**
 * To what a model's recurrent state is rounded, every 16 tokens of a sequence; see {@link
 * quamba.kernels.ScanState}.
 */
public enum StateFormat {
  F32,
  F16,
  /** int8 with a scale for each channel, found anew at each rounding. */
  I8,
  /** int8 with the scales of the checkpoint, which must have them for every layer. */
  I8_STATIC
}
