package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuLaunchKernel;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.stream.IntStream;
import jcuda.Pointer;
import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Tensor;
import quamba.kernels.cuda.CudaKernel.Parameter;

/**
 * Starts kernels: {@code launch.of(kernel)}, its arguments in order, then {@link #over}. Arguments
 * are held against {@link CudaKernel#parameters} as they come. They lie in one native buffer with
 * pointers into it made beforehand, so a launch leaves no garbage.
 */
final class CudaLaunch {
  private final CudaContext context;
  private final CudaModules modules;
  private final ByteBuffer arguments; // 8 bytes a parameter
  private final Pointer[] pointers; // of kernels with that many parameters
  private CudaKernel kernel = CudaKernel.EMBED_F32_F32;
  private CudaKernel last = kernel; // of those launched
  private int count; // of the arguments given so far
  private int sharedBytes;

  CudaLaunch(CudaContext context, CudaModules modules) {
    this.context = context;
    this.modules = modules;
    int most =
        Arrays.stream(CudaKernel.values()).mapToInt(k -> k.parameters().size()).max().orElse(0);
    arguments = ByteBuffer.allocateDirect(most * Long.BYTES).order(ByteOrder.nativeOrder());
    Pointer first = Pointer.to(arguments);
    Pointer[] each =
        IntStream.range(0, most)
            .mapToObj(index -> first.withByteOffset((long) index * Long.BYTES))
            .toArray(Pointer[]::new);
    pointers =
        IntStream.rangeClosed(0, most)
            .mapToObj(size -> Pointer.to(Arrays.copyOf(each, size)))
            .toArray(Pointer[]::new);
  }

  /** Begins the launch of a kernel. */
  CudaLaunch of(CudaKernel next) {
    kernel = next;
    count = 0;
    sharedBytes = next.sharedBytes();
    return this;
  }

  /** Dynamic shared memory of a block, if it needs no more than this, so that more run at once. */
  CudaLaunch shared(int bytes) {
    require(bytes <= kernel.sharedBytes());
    sharedBytes = bytes;
    return this;
  }

  /** The address of a tensor that is dense. */
  CudaLaunch dense(Tensor tensor) {
    CudaTensor elements = (CudaTensor) tensor;
    if (!elements.isDense()) {
      throw new IllegalArgumentException(
          "%s: argument %d must be dense, found a view %s"
              .formatted(kernel.entry(), count, tensor.shape()));
    }
    return address(elements);
  }

  /** An address of elements of this dtype. */
  CudaLaunch at(CudaAddress address, DType dtype) {
    require(next().pointsTo(dtype));
    arguments.putLong(count++ * Long.BYTES, address.value());
    return this;
  }

  /** The address of a tensor, and its stride. */
  CudaLaunch strided(Tensor tensor) {
    CudaTensor elements = (CudaTensor) tensor;
    return address(elements).number(elements.stride());
  }

  /** As {@link #strided}, and behind it of codes the address of their scales and these' step. */
  CudaLaunch values(Tensor tensor) {
    strided(tensor);
    return tensor.dtype() == DType.I8 ? scale(tensor) : this;
  }

  /** The address of codes' scales, and these' step. */
  CudaLaunch scale(Tensor codes) {
    return dense(codes.scale()).number(((CudaTensor) codes).isScaledByColumn() ? 1 : 0);
  }

  /** As {@link #values}, for a kernel that also reads f32 there, without scales. */
  CudaLaunch either(Tensor tensor) {
    values(tensor);
    return tensor.dtype() == DType.I8 ? this : nothing().number(0);
  }

  /** No address, of an argument that the kernel will neither read nor write. */
  CudaLaunch nothing() {
    require(next() != Parameter.INT && next() != Parameter.FLOAT);
    arguments.putLong(count++ * Long.BYTES, 0);
    return this;
  }

  /** The addresses of a batch's slots, starts and positions. */
  CudaLaunch batch(Batch batch) {
    return dense(batch.slots()).dense(batch.starts()).dense(batch.positions());
  }

  /** An integer. */
  CudaLaunch number(int value) {
    require(next() == Parameter.INT);
    arguments.putInt(count++ * Long.BYTES, value);
    return this;
  }

  /** A floating-point number. */
  CudaLaunch number(float value) {
    require(next() == Parameter.FLOAT);
    arguments.putFloat(count++ * Long.BYTES, value);
    return this;
  }

  /**
   * Starts the kernel on this many blocks; on none if a count is 0. One that begins early may run
   * while the one before it ends.
   */
  void over(int x, int y, int z) {
    require(count == kernel.parameters().size());
    if (x == 0 || y == 0 || z == 0) {
      return;
    }
    context.enter();
    boolean early = context.hasWarpgroups() && kernel.beginsEarly(last);
    last = kernel;
    if (early && kernel.spreads()) {
      sharedBytes = context.spreading((long) x * y * z);
    }
    CudaFaults.check(early ? launchEarly(x, y, z) : launch(x, y, z), kernel.entry());
  }

  private int launchEarly(int x, int y, int z) {
    return CudaEarlyLaunch.INSTANCE.launch(
        modules.function(kernel),
        x,
        y,
        z,
        kernel.threads(),
        sharedBytes,
        context.stream(),
        arguments,
        count);
  }

  private int launch(int x, int y, int z) {
    return cuLaunchKernel(
        modules.function(kernel),
        x,
        y,
        z,
        kernel.threads(),
        1,
        1,
        sharedBytes,
        context.stream(),
        pointers[count],
        null);
  }

  /** How many pieces cover the whole. */
  static int pieces(int whole, int piece) {
    return (whole + piece - 1) / piece;
  }

  /** There is no kernel for more. */
  static void requireAtMost(String what, int found, int most) {
    if (found > most) {
      throw new IllegalArgumentException(
          "%s: the cuda backend has kernels up to %d, found %d".formatted(what, most, found));
    }
  }

  private CudaLaunch address(CudaTensor tensor) {
    return at(tensor.address(), tensor.dtype());
  }

  private Parameter next() {
    require(count < kernel.parameters().size());
    return kernel.parameters().get(count);
  }

  /** The backend's calls and the table of kernels are of one program: this never fails in use. */
  private void require(boolean fits) {
    if (!fits) {
      throw new IllegalStateException(
          "%s: argument %d does not fit (%s)".formatted(kernel.entry(), count, kernel.signature()));
    }
  }
}
