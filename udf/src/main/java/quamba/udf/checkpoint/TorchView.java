package quamba.udf.checkpoint;

import java.util.List;
import quamba.kernels.DType;

/**
 * A tensor as an archive describes it, nothing of it checked yet: element {@code (i, j, …)} is that
 * of index {@code offset + i · strides[0] + j · strides[1] + …} in the storage.
 *
 * @param extents the shape
 * @param strides in elements, one for each extent
 */
record TorchView(Storage storage, long offset, List<Long> extents, List<Long> strides) {
  /**
   * A block of elements, which several views may share.
   *
   * @param key its name in the archive
   * @param elements their number
   */
  record Storage(DType dtype, String key, long elements) {}
}
