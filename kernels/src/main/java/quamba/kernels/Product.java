package quamba.kernels;

/**
 * One of the products of the same x.
 *
 * @param linear its weight
 * @param out where it goes, as in {@link Backend#linear}
 */
public record Product(Linear linear, Tensor out) {}
