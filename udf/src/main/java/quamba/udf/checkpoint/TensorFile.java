package quamba.udf.checkpoint;

import java.nio.file.Path;
import java.util.Set;
import quamba.kernels.HostTensor;

/** An open file of named tensors; names are those that the file uses. */
interface TensorFile extends AutoCloseable {
  /** Where the file lies. */
  Path file();

  /** Names of all tensors. */
  Set<String> names();

  /**
   * Element type and extents of one tensor.
   *
   * @throws InvalidCheckpointException if there is none of that name
   */
  TensorSpec spec(String name);

  /**
   * One tensor, row-major and little-endian; valid until the file is closed.
   *
   * @throws InvalidCheckpointException if there is none of that name, or it cannot be read
   */
  HostTensor tensor(String name);

  @Override
  void close();
}
