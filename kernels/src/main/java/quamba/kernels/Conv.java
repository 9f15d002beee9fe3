package quamba.kernels;

/**
 * Depthwise causal convolution, then SiLU: {@code out_t = silu(bias + Σ_k weight[k] ·
 * x_{t-K+1+k})}.
 *
 * @param weight (channels, convWidth) f32
 * @param bias (channels) f32
 */
public record Conv(Tensor weight, Tensor bias) {}
