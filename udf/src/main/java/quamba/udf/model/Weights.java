package quamba.udf.model;

import java.util.Arrays;
import quamba.kernels.Backend;
import quamba.kernels.Conv;
import quamba.kernels.DType;
import quamba.kernels.HostFloats;
import quamba.kernels.HostTensor;
import quamba.kernels.Norm;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.QuantizedNames.Tap;

/** Brings a layer's tensors to a backend, one at a time, each checked first. */
final class Weights {
  private final TensorSource source;
  private final ModelTensors tensors;
  private final Backend backend;
  private final String prefix; // of the names that methods take
  private final LayerScales scales;
  private final StateFormat stateFormat;

  Weights(
      TensorSource source,
      ModelTensors tensors,
      Backend backend,
      String prefix,
      LayerScales scales,
      StateFormat stateFormat) {
    this.source = source;
    this.tensors = tensors;
    this.backend = backend;
    this.prefix = prefix;
    this.scales = scales;
    this.stateFormat = stateFormat;
  }

  Norm norm(String name, float epsilon) {
    return new Norm(vector(name), epsilon);
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

  /** The recurrence's state, as the model was asked to keep it. */
  ScanState state(Scan.Dims dims) {
    return switch (stateFormat) {
      case F32 -> new ScanState.F32();
      case F16 -> new ScanState.F16();
      case I8 -> new ScanState.RowScaled();
      case I8_STATIC -> new ScanState.StaticScaled(stateScale(dims));
    };
  }

  private Tensor stateScale(Scan.Dims dims) {
    Shape shape = Shape.of(dims.heads(), dims.headDim(), dims.stateDim());
    float[] given = scales.of(Tap.STATE);
    if (given.length == 0) {
      throw new InvalidCheckpointException(
          "the state's format asks for static scales: missing tensor %smixer.%s_scale"
              .formatted(prefix, Tap.STATE));
    }
    float[] all = given;
    if (given.length == 1) {
      all = new float[(int) shape.elements()];
      Arrays.fill(all, given[0]);
    }
    return backend.upload(HostTensor.of(shape, all));
  }

  /** Columns of a buffer, as this layer has {@code tap}. */
  Columns columns(int first, int count, Tap tap) {
    return scales.columns(first, count, tap);
  }

  Flow flow(Columns columns) {
    return Flow.of(backend, columns);
  }

  /**
   * The matrix {@code name} with its outputs.
   *
   * @param input dtype of what it multiplies
   * @param outputs columns of a buffer for all of its rows, in order
   */
  Projection projection(String name, DType input, Columns... outputs) {
    return Projection.load(backend, this, name, input, outputs);
  }

  /** All of the matrix {@code name}, for {@link Backend#linear} of inputs of this dtype. */
  Tensor matrix(String name, DType input) {
    return tensors.matrix(source, prefix + name).pack(backend, input);
  }

  /** Some rows of the matrix {@code name}. */
  Tensor matrix(String name, int first, int count, DType input) {
    return tensors.matrix(source, prefix + name).rows(first, count).pack(backend, input);
  }

  private Tensor vector(String name) {
    return backend.upload(take(name));
  }

  /** −exp of a tensor, in double precision as it is done once. */
  private Tensor decay(String name) {
    HostTensor logs = take(name);
    float[] decay = new float[(int) logs.shape().elements()];
    HostFloats.read(logs, 0, decay.length, decay, 0);
    for (int i = 0; i < decay.length; i++) {
      decay[i] = (float) -Math.exp(decay[i]);
    }
    return backend.upload(HostTensor.of(logs.shape(), decay));
  }

  private HostTensor take(String name) {
    return tensors.take(source, prefix + name);
  }
}
