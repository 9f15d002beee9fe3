package quamba.kernels;

/**
 * A matrix product: {@code out = x · weightᵀ}.
 *
 * @param weight (out, in), from {@link Backend#pack}
 */
public record Linear(Tensor weight) {}
