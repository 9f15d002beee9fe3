package quamba.kernels.cuda;

import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Locale;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Probe;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;

/**
 * What it takes to bring a matrix of 4-bit codes into the orders of the device, without a device:
 * milliseconds of processor time for each of the steps, the least of a few rounds.
 *
 * <p>Arguments: outputs (10576), inputs (2560), rounds (12). It means something where the virtual
 * machine is started with {@code -Djava.util.concurrent.ForkJoinPool.common.parallelism=0}, so that
 * one thread does it all.
 */
final class BenchmarkPacking {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private BenchmarkPacking() {}

  public static void main(String[] args) {
    int out = args.length > 0 ? Integer.parseInt(args[0]) : 10576;
    int in = args.length > 1 ? Integer.parseInt(args[1]) : 2560;
    run(out, in, args.length > 2 ? Integer.parseInt(args[2]) : 12, System.out);
  }

  static void run(int out, int in, int rounds, PrintStream print) {
    int groups = CudaLaunch.pieces(in, QuantizedWeight.Int4.GROUP);
    byte[] pairs = Probe.randomCodes(1, out * in / 2);
    HostTensor codes = new HostTensor(DType.U8, Shape.of(out, in / 2), ByteBuffer.wrap(pairs));
    float[] scales = Probe.randomScales(2, out * groups, 0.1f);
    QuantizedWeight.Int4 weight =
        new QuantizedWeight.Int4(codes, HostTensor.of(Shape.of(out, groups), scales));
    QuantizedWeight.Int8 first = weight.asInt8();
    ByteBuffer tileBytes = buffer(new CudaTilePacking(weight, first).bytes());
    ByteBuffer wideBytes = buffer(wideBytes(new CudaWidePacking(first)));
    double widen = Double.POSITIVE_INFINITY;
    double tiles = Double.POSITIVE_INFINITY;
    double wide = Double.POSITIVE_INFINITY;
    for (int round = 0; round < rounds; round++) {
      long start = THREADS.getCurrentThreadCpuTime();
      QuantizedWeight.Int8 eight = weight.asInt8();
      long widened = THREADS.getCurrentThreadCpuTime();
      packTiles(new CudaTilePacking(weight, eight), tileBytes);
      long tiled = THREADS.getCurrentThreadCpuTime();
      packWide(new CudaWidePacking(eight), wideBytes);
      widen = Math.min(widen, (widened - start) / 1e6);
      tiles = Math.min(tiles, (tiled - widened) / 1e6);
      wide = Math.min(wide, (THREADS.getCurrentThreadCpuTime() - tiled) / 1e6);
    }
    print.printf(
        Locale.ROOT,
        "packing (%d, %d): as 8-bit codes %.1f ms, 4-bit order %.1f ms, 8-bit order %.1f ms%n",
        out,
        in,
        widen,
        tiles,
        wide);
  }

  private static void packTiles(CudaTilePacking packing, ByteBuffer target) {
    int ratiosAt = Math.toIntExact(packing.ratiosAt());
    for (int i = 0; i < packing.count(); i++) {
      packing.packCodes(i, target, i * CudaTilePacking.CODES_BYTES);
      packing.packRatios(i, target, ratiosAt + i * CudaTilePacking.RATIOS_BYTES);
    }
  }

  private static long wideBytes(CudaWidePacking packing) {
    return (long) packing.chunks() * packing.rows() * CudaWidePacking.CHUNK;
  }

  private static void packWide(CudaWidePacking packing, ByteBuffer target) {
    int count = packing.chunks() * packing.rows();
    for (int i = 0; i < count; i++) {
      packing.pack(i, target, i * CudaWidePacking.CHUNK);
    }
  }

  private static ByteBuffer buffer(long bytes) {
    return ByteBuffer.allocateDirect(Math.toIntExact(bytes)).order(ByteOrder.LITTLE_ENDIAN);
  }
}
