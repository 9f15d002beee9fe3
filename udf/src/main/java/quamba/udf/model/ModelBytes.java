package quamba.udf.model;

import java.util.Set;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.udf.checkpoint.TensorSource;

/**
 * How large a model is.
 *
 * @param stored bytes of all tensors, scales included
 * @param asHalves bytes that the same weights, without scales, would take in binary16
 */
public record ModelBytes(long stored, long asHalves) {
  /** Looks at every tensor. */
  public static ModelBytes of(TensorSource source) {
    Set<String> names = source.names();
    long stored = 0;
    long asHalves = 0;
    for (String name : names) {
      HostTensor tensor = source.tensor(name);
      long elements = tensor.shape().elements();
      stored += elements * tensor.dtype().bytes();
      if (!QuantizedNames.isScale(name)) {
        asHalves += elements * Short.BYTES * (tensor.dtype() == DType.U8 ? 2 : 1);
      }
    }
    return new ModelBytes(stored, asHalves);
  }

  /** What is stored, in units of what binary16 would take. */
  public double share() {
    return (double) stored / asHalves;
  }
}
