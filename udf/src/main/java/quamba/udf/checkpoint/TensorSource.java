package quamba.udf.checkpoint;

import java.util.Set;
import quamba.kernels.HostTensor;

/**
 * Where a model's configuration and tensors come from: files on this machine, or pieces that a
 * driver broadcast. Tensor names are those of mamba_ssm ({@code
 * backbone.layers.0.mixer.in_proj.weight}), whatever the files call them.
 */
public interface TensorSource {
  /** The text of {@code config.json}. */
  String config();

  /** Names of all tensors. */
  Set<String> names();

  /**
   * One tensor, logical and row-major; valid until the source is closed.
   *
   * @throws InvalidCheckpointException if there is none of that name, or its bytes are damaged
   */
  HostTensor tensor(String name);
}
