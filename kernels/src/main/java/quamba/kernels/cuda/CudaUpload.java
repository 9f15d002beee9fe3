package quamba.kernels.cuda;

import java.nio.ByteBuffer;
import java.util.stream.IntStream;
import quamba.kernels.DType;
import quamba.kernels.DeviceMemoryException;
import quamba.kernels.HostFloats;
import quamba.kernels.HostTensor;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;

/**
 * Brings tensors of the host to the device: as they are, floats widened to f32, or packed. All of
 * its methods throw {@link DeviceMemoryException} if the device has too little memory left.
 */
final class CudaUpload {
  /** Shares of the staging memory, one of which is filled while another is copied. */
  private static final int SHARES = 4;

  private final CudaArena arena;
  private final CudaStaging staging;
  private final boolean warpgroups;

  /**
   * Takes memory from the arena.
   *
   * @param warpgroups whether codes are packed for the kernels that need them
   */
  CudaUpload(CudaArena arena, CudaStaging staging, boolean warpgroups) {
    this.arena = arena;
    this.staging = staging;
    this.warpgroups = warpgroups;
  }

  /** A new zeroed tensor. */
  CudaTensor allocate(DType dtype, Shape shape) {
    long bytes = Math.multiplyExact(shape.elements(), (long) dtype.bytes());
    return CudaTensor.dense(dtype, shape, arena.allocate(bytes, dtype + " tensor " + shape));
  }

  /** A tensor as it is, but for floats, which become f32. */
  CudaTensor upload(HostTensor source) {
    DType dtype = source.dtype().isFloat() ? DType.F32 : source.dtype();
    CudaTensor tensor = allocate(dtype, source.shape());
    if (source.dtype() == dtype) {
      staging.write(tensor.address(), source.data().duplicate());
    } else {
      widen(source, tensor.address());
    }
    return dtype == DType.F32 && source.shape().rank() == 1
        ? tensor.with(CudaChanges.of(floats(source)))
        : tensor;
  }

  private static float[] floats(HostTensor vector) {
    float[] elements = new float[vector.shape().dim(0)];
    HostFloats.read(vector, 0, elements.length, elements, 0);
    return elements;
  }

  private void widen(HostTensor source, CudaAddress target) {
    int elements = Math.toIntExact(source.shape().elements());
    int most = staging.capacity() / Float.BYTES;
    float[] piece = new float[Math.min(elements, most)];
    for (int from = 0; from < elements; from += most) {
      int count = Math.min(most, elements - from);
      HostFloats.read(source, from, count, piece, 0);
      staging.reserve(count * Float.BYTES).asFloatBuffer().put(piece, 0, count);
      staging.send(target.plus((long) from * Float.BYTES), count * Float.BYTES);
    }
  }

  /** A floating-point matrix (out, in). */
  CudaPacked pack(HostTensor weight) {
    int in = weight.shape().dim(1);
    CudaPacking.Rows rows =
        (row, first, count, target) -> {
          float[] values = new float[count];
          HostFloats.read(weight, row * in + first, count, values, 0);
          target.asFloatBuffer().put(values, 0, count);
        };
    return CudaPacked.values(weight.shape(), pack(DType.F32, weight.shape(), rows));
  }

  /** A matrix of codes: for I8 inputs as codes, for F32 inputs as their values. */
  CudaOpaque pack(QuantizedWeight weight, DType input) {
    Shape shape = Shape.of(weight.out(), weight.in());
    if (input == DType.F32) {
      CudaPacking.Rows rows =
          (row, first, count, target) -> {
            float[] values = new float[weight.in()];
            weight.read(row, values, 0);
            target.asFloatBuffer().put(values, first, count);
          };
      return CudaPacked.values(shape, pack(DType.F32, shape, rows));
    }
    QuantizedWeight.Int8 wide = weight.asInt8();
    if (warpgroups) {
      CudaTensor rowScales = upload(wide.scales());
      CudaTensor eightBit = send(new CudaWidePacking(wide));
      if (weight instanceof QuantizedWeight.Int4 four) {
        CudaTensor fourBit = send(new CudaTilePacking(four, wide));
        return CudaCodes.fourBit(fourBit, eightBit, rowScales, shape);
      }
      return CudaCodes.eightBit(eightBit, rowScales, shape);
    }
    ByteBuffer codes = wide.codes().data();
    CudaPacking.Rows rows =
        (row, first, count, target) -> target.put(0, codes, row * wide.in() + first, count);
    return CudaPacked.codes(shape, pack(DType.I8, shape, rows), upload(wide.scales()));
  }

  private CudaTensor send(CudaWidePacking packing) {
    Shape order = Shape.of(packing.chunks(), packing.rows(), CudaWidePacking.CHUNK);
    CudaAddress address = arena.allocate(order.elements(), "matrix of 8-bit codes " + order);
    int count = packing.chunks() * packing.rows();
    send(address, count, CudaWidePacking.CHUNK, packing::pack);
    return CudaTensor.dense(DType.I8, order, address);
  }

  private CudaTensor send(CudaTilePacking packing) {
    Shape bytes = Shape.of(Math.toIntExact(packing.bytes()));
    CudaAddress codes = arena.allocate(bytes.elements(), "matrix of 4-bit codes " + bytes);
    CudaAddress ratios = codes.plus(packing.ratiosAt());
    send(codes, packing.count(), CudaTilePacking.CODES_BYTES, packing::packCodes);
    send(ratios, packing.count(), CudaTilePacking.RATIOS_BYTES, packing::packRatios);
    return CudaTensor.dense(DType.I8, bytes, codes);
  }

  /** Writes piece {@code index} of a packed matrix to {@code target[at …]}; on any thread. */
  private interface Pieces {
    void pack(int index, ByteBuffer target, int at);
  }

  /** Sends pieces of one size that lie one after the other; all processors pack them. */
  private void send(CudaAddress target, int count, int bytes, Pieces pieces) {
    int most = Math.max(1, staging.capacity() / SHARES / bytes);
    for (int first = 0; first < count; first += most) {
      int from = first;
      int sent = Math.min(most, count - first);
      ByteBuffer buffer = staging.reserve(sent * bytes);
      IntStream.range(0, sent)
          .parallel()
          .forEach(piece -> pieces.pack(from + piece, buffer, piece * bytes));
      staging.send(target.plus((long) first * bytes), sent * bytes);
    }
  }

  private CudaTensor pack(DType dtype, Shape shape, CudaPacking.Rows rows) {
    CudaPacking packing = new CudaPacking(shape.dim(0), shape.dim(1), dtype.bytes());
    long bytes = packing.length() * dtype.bytes();
    CudaAddress address = arena.allocate(bytes, "packed matrix " + shape);
    int groupBytes = CudaPacking.PANEL * CudaPacking.GROUP_BYTES;
    int most = staging.capacity() / groupBytes;
    if (packing.groups() <= most) {
      int panelBytes = packing.groups() * groupBytes;
      Pieces panels =
          (panel, target, at) ->
              packing.pack(rows, panel, 0, packing.groups(), target.slice(at, panelBytes));
      send(address, packing.panels(), panelBytes, panels);
    } else {
      sendWide(packing, rows, address, most);
    }
    Shape order = Shape.of(packing.panels(), packing.groups(), CudaPacking.PANEL, packing.group());
    return CudaTensor.dense(dtype, order, address);
  }

  /** Sends panels that are too wide to be sent whole, {@code most} groups at once. */
  private void sendWide(CudaPacking packing, CudaPacking.Rows rows, CudaAddress target, int most) {
    int groupBytes = CudaPacking.PANEL * CudaPacking.GROUP_BYTES;
    for (int panel = 0; panel < packing.panels(); panel++) {
      for (int first = 0; first < packing.groups(); first += most) {
        int count = Math.min(most, packing.groups() - first);
        packing.pack(rows, panel, first, count, staging.reserve(count * groupBytes));
        long at = packing.index(panel * CudaPacking.PANEL, first * packing.group());
        staging.send(target.plus(at * packing.elementBytes()), count * groupBytes);
      }
    }
  }
}
