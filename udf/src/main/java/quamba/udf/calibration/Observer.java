package quamba.udf.calibration;

/** Takes what flows through a model, of one sample after the other. */
interface Observer {
  /** Whether {@link #saw} is to be called for this site. */
  boolean wants(Site site);

  /**
   * Takes the activations of all tokens of one sample.
   *
   * @param values (tokens, columns), valid during the call
   */
  void saw(Site site, int tokens, float[] values);
}
