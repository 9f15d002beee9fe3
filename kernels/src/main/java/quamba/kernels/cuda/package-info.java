/**
 * The operations on an NVIDIA GPU, through the driver API alone. {@link
 * quamba.kernels.cuda.CudaBackend} is the only public class. The kernels are the {@code .cu} files
 * of this module, compiled by the build into fatbins beside these classes; {@link
 * quamba.kernels.cuda.CudaKernel} is the table of their entry points.
 *
 * <p>Binding here: JCuda is named in this package only, as loading its driver class already needs a
 * driver. One context and one stream a backend; all calls are ordered by that stream. Memory is
 * taken while opening and given back by close, each piece by the class that took it. Result codes
 * go through {@link quamba.kernels.cuda.CudaFaults}, never unlooked at except while closing.
 */
package quamba.kernels.cuda;
