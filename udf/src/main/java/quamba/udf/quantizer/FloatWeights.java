package quamba.udf.quantizer;

import java.nio.ByteBuffer;
import quamba.kernels.Half;
import quamba.kernels.HostTensor;
import quamba.udf.checkpoint.TensorSource;

/**
 * The weights of a model in single precision, one tensor at a time: those of a checkpoint, or of
 * one rewritten on the way by {@link WeightPermutation} or {@link HadamardFold}. Names are those of
 * {@link TensorSource}.
 */
@FunctionalInterface
public interface FloatWeights {
  /** The weight of the logits, which is the embedding where a checkpoint has none of its own. */
  String HEAD = "lm_head.weight";

  /** One vector for each id. */
  String EMBEDDING = "backbone.embedding.weight";

  /** (elements) of the tensor {@code name}, row-major; the caller may change them. */
  float[] values(String name);

  /** The weights of a checkpoint, its head untied from the embedding. */
  static FloatWeights of(TensorSource source) {
    return name -> {
      boolean tied = name.equals(HEAD) && !source.names().contains(HEAD);
      return read(name, source.tensor(tied ? EMBEDDING : name));
    };
  }

  private static float[] read(String name, HostTensor tensor) {
    ByteBuffer data = tensor.data();
    float[] values = new float[(int) tensor.shape().elements()];
    switch (tensor.dtype()) {
      case F32 -> data.asFloatBuffer().get(values);
      case F16 -> {
        for (int i = 0; i < values.length; i++) {
          values[i] = Half.value(data.getShort(i * Short.BYTES));
        }
      }
      case BF16 -> {
        for (int i = 0; i < values.length; i++) {
          values[i] = Float.intBitsToFloat(data.getShort(i * Short.BYTES) << Short.SIZE);
        }
      }
      case F64, I64, I32, I16, I8, U8, BOOL ->
          throw new IllegalArgumentException(
              "tensor %s: dtype must be F32, F16 or BF16, found %s: only models that are not yet quantized can be"
                  .formatted(name, tensor.dtype()));
    }
    return values;
  }
}
