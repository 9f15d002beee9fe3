/**
 * Numbers in, numbers out: the operations of a Mamba model. Knows no model, no file and no Spark.
 *
 * <p>Dimensions, the only words used for them in Java, CUDA and comments (the papers' letters in
 * brackets): {@code rows} sequences of a batch [B]; {@code tokens} of all rows together, rows one
 * after the other without padding [sum of L]; {@code slots} places for a sequence's state; {@code
 * modelDim} width of the residual stream [d]; {@code innerDim} width of the mixer [D]; {@code
 * heads} [H]; {@code headDim} [P]; {@code stateDim} [N]; {@code groups} of B and C [G]; {@code
 * convWidth} [K]; {@code vocab}. Quantized tensors are of {@code codes}, integers that a {@code
 * scale} turns into values.
 *
 * <p>{@link quamba.kernels.Backend} is the interface; {@link quamba.kernels.CheckedBackend}
 * validates, implementations trust. Backends live in sub-packages that only {@code
 * quamba.udf.Backends} may import. Imports nothing but the JDK.
 */
package quamba.kernels;
