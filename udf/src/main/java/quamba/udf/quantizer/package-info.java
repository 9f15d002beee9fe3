/**
 * The mathematics that turns a trained model into a quantized one, on plain arrays of this process:
 * no Spark, no backend. In the order of use: {@link quamba.udf.quantizer.WeightPermutation} and
 * {@link quamba.udf.quantizer.HadamardFold} rewrite weights without changing the model, one tensor
 * at a time; {@link quamba.udf.quantizer.Hessian} sums what a layer's inputs are like; {@link
 * quamba.udf.quantizer.WeightRounding} and {@link quamba.udf.quantizer.Gptq} round them; what a
 * checkpoint holds of one is a {@link quamba.kernels.QuantizedWeight}. May import {@code
 * quamba.kernels}, {@code quamba.udf.checkpoint} and {@code quamba.udf.model}.
 *
 * <p>Rounding works on tiles of rows that are laid out as (columns, rows): then every rule of one
 * row is a plain loop over rows that the compiler turns into vector instructions, and a row's
 * result does not depend on its tile or thread.
 */
package quamba.udf.quantizer;
