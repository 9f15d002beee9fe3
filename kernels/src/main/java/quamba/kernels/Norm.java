package quamba.kernels;

/**
 * Root-mean-square norm: {@code x / sqrt(mean(x²) + epsilon) · weight} (spec 1.1).
 *
 * @param weight (modelDim) f32
 * @param epsilon added to the mean square
 */
public record Norm(Tensor weight, float epsilon) {}
