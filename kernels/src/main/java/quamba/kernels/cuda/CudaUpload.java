package quamba.kernels.cuda;

import java.nio.ByteBuffer;
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
  private final CudaArena arena;
  private final CudaStaging staging;

  CudaUpload(CudaArena arena, CudaStaging staging) {
    this.arena = arena;
    this.staging = staging;
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
    return tensor;
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
    float[] values = new float[in];
    CudaPacking.Rows rows =
        (row, first, count, target) -> {
          HostFloats.read(weight, row * in + first, count, values, 0);
          target.asFloatBuffer().put(values, 0, count);
        };
    return CudaPacked.values(weight.shape(), pack(DType.F32, weight.shape(), rows));
  }

  /** A matrix of codes: for I8 inputs as 8-bit codes, for F32 inputs as their values. */
  CudaPacked pack(QuantizedWeight weight, DType input) {
    Shape shape = Shape.of(weight.out(), weight.in());
    if (input == DType.F32) {
      float[] values = new float[weight.in()];
      CudaPacking.Rows rows =
          (row, first, count, target) -> {
            weight.read(row, values, 0);
            target.asFloatBuffer().put(values, first, count);
          };
      return CudaPacked.values(shape, pack(DType.F32, shape, rows));
    }
    QuantizedWeight.Int8 wide = weight.asInt8();
    ByteBuffer codes = wide.codes().data();
    CudaPacking.Rows rows =
        (row, first, count, target) -> target.put(0, codes, row * wide.in() + first, count);
    return CudaPacked.codes(shape, pack(DType.I8, shape, rows), upload(wide.scales()));
  }

  private CudaTensor pack(DType dtype, Shape shape, CudaPacking.Rows rows) {
    CudaPacking packing = new CudaPacking(shape.dim(0), shape.dim(1), dtype.bytes());
    long bytes = packing.length() * dtype.bytes();
    CudaAddress address = arena.allocate(bytes, "packed matrix " + shape);
    int groupBytes = CudaPacking.PANEL * CudaPacking.GROUP_BYTES;
    int most = staging.capacity() / groupBytes;
    for (int panel = 0; panel < packing.panels(); panel++) {
      for (int first = 0; first < packing.groups(); first += most) {
        int count = Math.min(most, packing.groups() - first);
        packing.pack(rows, panel, first, count, staging.reserve(count * groupBytes));
        long at = packing.index(panel * CudaPacking.PANEL, first * packing.group());
        staging.send(address.plus(at * dtype.bytes()), count * groupBytes);
      }
    }
    Shape order = Shape.of(packing.panels(), packing.groups(), CudaPacking.PANEL, packing.group());
    return CudaTensor.dense(dtype, order, address);
  }
}
