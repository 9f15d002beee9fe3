package quamba.udf.model;

import java.nio.ByteBuffer;
import quamba.kernels.Backend;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Linear;
import quamba.kernels.Norm;
import quamba.kernels.Scan;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.udf.checkpoint.TensorSource;

/**
 * Brings a checkpoint's tensors to a backend, one at a time, each checked first. Names are relative
 * to a prefix.
 */
final class Weights {
  private final TensorSource source;
  private final ModelTensors tensors;
  private final Backend backend;
  private final String prefix;

  Weights(TensorSource source, ModelTensors tensors, Backend backend, String prefix) {
    this.source = source;
    this.tensors = tensors;
    this.backend = backend;
    this.prefix = prefix;
  }

  /** The tensors of one layer. */
  Weights layer(int layer) {
    return new Weights(source, tensors, backend, ModelTensors.prefix(layer));
  }

  Norm norm(String name, float epsilon) {
    return new Norm(vector(name), epsilon);
  }

  Linear linear(String name) {
    return new Linear(matrix(name));
  }

  /** The convolution, whose weight checkpoints hold as (channels, 1, convWidth). */
  Conv conv(String name) {
    HostTensor weight = take(name + ".weight");
    Shape shape = Shape.of(weight.shape().dim(0), weight.shape().dim(2));
    Tensor flat = backend.upload(new HostTensor(weight.dtype(), shape, weight.data()));
    return new Conv(flat, vector(name + ".bias"));
  }

  /** The recurrence of {@code mixer.A_log}, {@code mixer.D} and a bias of dt. */
  Scan scan(String dtBias, Scan.Dims dims, Scan.Limit limit) {
    return new Scan(decay("mixer.A_log"), vector(dtBias), vector("mixer.D"), dims, limit);
  }

  /** The matrix {@code name} in the order of {@link Backend#linear}. */
  Tensor matrix(String name) {
    return backend.pack(take(name));
  }

  private Tensor vector(String name) {
    return backend.upload(take(name));
  }

  /** −exp of a tensor, in double precision as it is done once. */
  private Tensor decay(String name) {
    HostTensor logs = take(name);
    float[] decay = new float[(int) logs.shape().elements()];
    for (int i = 0; i < decay.length; i++) {
      decay[i] = (float) -Math.exp(element(logs, i));
    }
    return backend.upload(HostTensor.of(logs.shape(), decay));
  }

  private HostTensor take(String name) {
    return tensors.take(source, prefix + name);
  }

  private static double element(HostTensor tensor, int index) {
    ByteBuffer data = tensor.data();
    if (tensor.dtype() == DType.F32) {
      return data.getFloat(index * Float.BYTES);
    }
    short bits = data.getShort(index * Short.BYTES);
    return tensor.dtype() == DType.F16 ? half(bits) : Float.intBitsToFloat(bits << Short.SIZE);
  }

  /** The value of IEEE 754 binary16 {@code bits}: 1 sign, 5 exponent, 10 fraction bits. */
  private static double half(short bits) {
    int exponent = (bits >> 10) & 0x1f;
    int fraction = bits & 0x3ff;
    double magnitude =
        switch (exponent) {
          case 0 -> Math.scalb((double) fraction, -24);
          case 0x1f -> fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
          default -> Math.scalb((double) (fraction | 0x400), exponent - 25);
        };
    return bits < 0 ? -magnitude : magnitude;
  }
}
