/**
 * The operations in single precision on the processor's cores, by the Vector API. {@link
 * quamba.kernels.cpu.CpuBackend} is the only public class; one class an operation beside it.
 *
 * <p>Binding here: work is split over threads only by outputs, never within a sum, and every output
 * is summed in one order whatever the split, the row's neighbours or the cut of its tokens. Lanes
 * lie along outputs, not along sums, wherever the layout allows. Only the packed matrix and the
 * scan's state have an order of their own.
 */
package quamba.kernels.cpu;
