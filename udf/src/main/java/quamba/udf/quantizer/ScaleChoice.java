package quamba.udf.quantizer;

/** How the scale of a group of weights is chosen. */
public enum ScaleChoice {
  /** From the largest magnitude, as Quamba2 does: 1/127 of it for 8 bits, 2/15 of it for 4. */
  ABSMAX,
  /** The scale, of a grid and its least-squares refinement, that has the least squared error. */
  SEARCH
}
