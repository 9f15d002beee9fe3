/**
 * Mamba1 and Mamba2 as layers of {@link quamba.kernels.Backend} operations, written once for every
 * device. Entries: {@link quamba.udf.model.Model} (what the engine sees) and {@link
 * quamba.udf.model.ModelLoader}. May import {@code quamba.kernels}, and {@code
 * quamba.udf.checkpoint} in what reads configurations and weights; never the engine.
 */
package quamba.udf.model;
