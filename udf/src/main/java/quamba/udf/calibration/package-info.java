/**
 * Looks at a model while it runs over calibration samples: how large activations are, how the
 * inputs of its matrices hang together, and how far its predictions are from another model's. What
 * is seen of samples adds up exactly, so that it does not matter which executor saw which. Entry:
 * {@link quamba.udf.calibration.Calibration}. May import {@code quamba.kernels}, {@code
 * quamba.udf.checkpoint} and {@code quamba.udf.model}; knows no Spark.
 */
package quamba.udf.calibration;
