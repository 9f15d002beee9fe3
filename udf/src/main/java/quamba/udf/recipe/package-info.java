/**
 * From a trained model to a quantized checkpoint: what is done in which order, on the driver.
 * Entry: {@link quamba.udf.recipe.Quantizer}. May import {@code quamba.udf.calibration}, {@code
 * quamba.udf.quantizer}, {@code quamba.udf.model}, {@code quamba.udf.checkpoint} and {@code
 * quamba.kernels}; knows no Spark.
 */
package quamba.udf.recipe;
