package quamba.kernels;

import java.nio.ByteBuffer;

/**
 * The operations that a Mamba model is made of, on one device. Everything is allocated when a model
 * is opened; operations write into {@code out}, allocate no tensor and may return before the work
 * is done ({@link #read} waits). The dtypes of the arguments choose the kernel.
 *
 * <p>Not safe for concurrent calls: one thread drives a backend. Results of a row never depend on
 * its batch-mates, on how its tokens are cut into calls, or on the slot: a sum over channels is
 * always taken in the same order, so texts repeat bit for bit.
 *
 * <p>Shapes and dtypes are checked by {@link CheckedBackend}; implementations trust.
 */
public interface Backend extends AutoCloseable {
  /** Copies a host tensor as it is, floats widened to f32 where the backend computes in f32. */
  Tensor upload(HostTensor source);

  /**
   * Copies a matrix (out, in) in the order in which {@link #linear} reads it. Also good as the
   * table of {@link #embed}, so that a tied head is held once.
   */
  Tensor pack(HostTensor weight);

  /** New zeroed tensor. Only when a model is opened. */
  Tensor allocate(DType dtype, Shape shape);

  /**
   * Copies {@code source}, little-endian elements from its position to its limit and as many as
   * {@code target} has, to the device. The buffer's position stays; it may be reused at once.
   */
  void write(Tensor target, ByteBuffer source);

  /**
   * Waits for earlier work and copies {@code source} as little-endian elements into {@code target},
   * which has room for just these from its position on. The buffer's position stays.
   */
  void read(Tensor source, ByteBuffer target);

  /**
   * {@code out[i] = table[ids[i]]}.
   *
   * @param ids (n) i32, each in 0 … table rows − 1
   * @param table (entries, dim): packed, or plain f32
   * @param out (n, dim) f32
   */
  void embed(Tensor ids, Tensor table, Tensor out);

  /**
   * {@code residual += x; out = norm(residual)}, the sum kept in f32.
   *
   * @param x (n, modelDim) f32
   * @param residual (n, modelDim) f32, updated
   * @param out (n, modelDim) f32; may be {@code x}
   */
  void norm(Norm p, Tensor x, Tensor residual, Tensor out);

  /**
   * {@code out = x · weightᵀ}.
   *
   * @param x (n, in) f32, may be a column view
   * @param out (n, out) f32, apart from {@code x}
   */
  void linear(Linear p, Tensor x, Tensor out);

  /**
   * Causal convolution over each row's tokens, with what came before in {@code state}.
   *
   * @param x (tokens, channels) f32, may be a column view
   * @param state (slots, convWidth − 1, channels) f32, oldest first, updated
   * @param out (tokens, channels) f32; may be {@code x}
   */
  void conv(Conv p, Batch batch, Tensor x, Tensor state, Tensor out);

  /**
   * The recurrence over each row's tokens.
   *
   * @param x (tokens, heads · headDim) f32, may be a column view, as dt, b and c
   * @param dt (tokens, heads) f32, before bias and softplus
   * @param b (tokens, groups · stateDim) f32
   * @param c (tokens, groups · stateDim) f32
   * @param state (slots, heads, headDim, stateDim) f32, updated; in which order the elements of a
   *     slot lie is the backend's choice
   * @param out (tokens, heads · headDim) f32; may be {@code x}
   */
  void scan(Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out);

  /**
   * Gates the mixer's output.
   *
   * @param y (n, innerDim) f32
   * @param z (n, innerDim) f32, may be a column view
   * @param out (n, innerDim) f32; may be {@code y}
   */
  void gate(Gate p, Tensor y, Tensor z, Tensor out);

  /**
   * Marks the ids of the batch as seen, then chooses the next id of its first rows; a row at
   * position 0 has seen nothing before.
   *
   * @param ids (tokens) i32, the ids of the batch
   * @param logits (n, at least vocab) f32, of the last token of the batch's first n rows
   * @param out (n) i32
   */
  void sample(Sample p, Batch batch, Tensor ids, Tensor logits, Tensor out);

  /** Releases memory and threads; tensors are dead afterwards. */
  @Override
  void close();
}
