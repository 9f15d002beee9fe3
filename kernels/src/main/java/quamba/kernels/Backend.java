package quamba.kernels;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * The operations that a Mamba model is made of, on one device. Everything is allocated when a model
 * is opened; operations write into {@code out}, allocate no tensor and may return before the work
 * is done ({@link #read} and {@link Readback#await} wait). The dtypes of the arguments choose the
 * kernel.
 *
 * <p>Precision is a property of tensors: what may be "i8" below is codes with scales ({@link
 * Tensor#scaled}). Values are read as code · scale, and written as value / scale rounded to an
 * integer and held to −128 … 127: to nearest, ties to even unless it says "ties away from zero".
 * Arithmetic between is in f32, but for the exact integers of {@link #linear}.
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

  /**
   * As {@link #pack(HostTensor)}, for a matrix of codes.
   *
   * @param input the dtype of what {@link #linear} will multiply: I8 sums products of codes as
   *     integers, exactly; F32 multiplies by the codes' values
   */
  Tensor pack(QuantizedWeight weight, DType input);

  /** New zeroed tensor. Only when a model is opened. */
  Tensor allocate(DType dtype, Shape shape);

  /**
   * New zeroed state for {@link #scan} (slots, heads, headDim, stateDim), its dtype F32, F16 or I8
   * as {@code format} says. F32 is an ordinary tensor; others have no views and are only for scan.
   *
   * @param input the dtype of the x, b and c that scan will be given with it, F32 or I8
   */
  Tensor allocateState(ScanState format, DType input, Scan.Dims dims, int slots);

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
   * A way to the host for a tensor that is no view of columns. Only when a model is opened; it is
   * dead when the backend is closed.
   */
  Readback readback(Tensor source);

  /**
   * The beginning of a pass over a model: {@code ids[i]} below 0 becomes {@code chosen[−1 −
   * ids[i]]}, so that a pass can be asked for before the ids that it begins with are known on the
   * host; {@code residual} is zeroed.
   *
   * @param ids (n) i32, updated
   * @param chosen (any number) i32, what an earlier pass left there
   * @param residual (n, modelDim) f32
   */
  void begin(Tensor ids, Tensor chosen, Tensor residual);

  /**
   * {@code out[i] = table[ids[i]]}, of codes the values that {@link #linear} would use.
   *
   * @param ids (n) i32, each in 0 … table rows − 1
   * @param table (entries, dim): packed, for whatever input, or plain f32
   * @param out (n, dim) f32
   */
  void embed(Tensor ids, Tensor table, Tensor out);

  /**
   * {@code residual += x; out = norm(residual)}, the sum kept in f32.
   *
   * @param x (n, modelDim) f32
   * @param residual (n, modelDim) f32, updated
   * @param out (n, modelDim) f32 or i8; may be {@code x}
   */
  void norm(Norm p, Tensor x, Tensor residual, Tensor out);

  /**
   * {@code out = x · weightᵀ}. With i8 x this is {@code f32(sum of code · code) · rowScale ·
   * scale}, multiplied in this order: the sum is exact, and so is the same for every device.
   *
   * @param x (n, in) of the dtype that the weight was packed for, f32 or i8 with one scale; may be
   *     a column view
   * @param out (n, out) f32, or of i8 x also i8; apart from {@code x}, may be a column view
   */
  void linear(Linear p, Tensor x, Tensor out);

  /**
   * {@link #linear} for each product. A matrix whose outputs differ in precision makes several of
   * the same x: a backend may do them at once.
   *
   * @param x (n, in) as in linear
   */
  default void linears(Tensor x, List<Product> products) {
    for (Product product : products) {
      linear(product.linear(), x, product.out());
    }
  }

  /**
   * Causal convolution over each row's tokens, with what came before in {@code state}.
   *
   * @param x (tokens, channels) f32 or i8, may be a column view
   * @param state (slots, convWidth − 1, channels) of x's dtype, oldest first, updated; codes are
   *     kept as they are in x, whose scales they need again
   * @param out (tokens, channels) of x's dtype, ties away from zero; may be {@code x}, or a view of
   *     it with other scales
   */
  void conv(Conv p, Batch batch, Tensor x, Tensor state, Tensor out);

  /**
   * {@link #linears}, then {@link #conv}. Where the convolution is over columns of what a product
   * writes, and in place, a backend may do them at once.
   *
   * @param x of the products
   * @param in the convolution's x
   * @param out the convolution's
   */
  default void linearsConv(
      Tensor x, List<Product> products, Conv p, Batch batch, Tensor in, Tensor state, Tensor out) {
    linears(x, products);
    conv(p, batch, in, state, out);
  }

  /**
   * The recurrence over each row's tokens.
   *
   * @param x (tokens, heads · headDim) f32 or i8, may be a column view, as dt, b and c
   * @param dt (tokens, heads) f32, or of i8 x also i8, before bias and softplus
   * @param b (tokens, groups · stateDim) of x's dtype, the scales of codes equal within a group
   * @param c (tokens, groups · stateDim) as b
   * @param state (slots, heads, headDim, stateDim) f32 or from {@link #allocateState}, updated; in
   *     which order the elements of a slot lie is the backend's choice
   * @param out (tokens, heads · headDim) f32; may be {@code x}
   */
  void scan(Scan p, Batch batch, Tensor x, Tensor dt, Tensor b, Tensor c, Tensor state, Tensor out);

  /**
   * Gates the mixer's output.
   *
   * @param y (n, innerDim) f32
   * @param z (n, innerDim) f32 or i8, may be a column view
   * @param out (n, innerDim) f32 or i8; may be {@code y}
   */
  void gate(Gate p, Tensor y, Tensor z, Tensor out);

  /**
   * {@code out = H x / √innerDim} for each row, as {@link Hadamard#apply(float[], int)} has it.
   *
   * @param x (n, innerDim) f32
   * @param out (n, innerDim) f32, or i8 with ties away from zero; may be {@code x}
   */
  void rotate(Tensor x, Tensor out);

  /**
   * {@link #gate}, then {@link #rotate}, f32 between the two.
   *
   * @param y (n, innerDim) f32, overwritten
   * @param z (n, innerDim) f32 or i8, may be a column view
   * @param out (n, innerDim) f32, or i8 with ties away from zero; may be {@code y}
   */
  default void gateRotate(Gate p, Tensor y, Tensor z, Tensor out) {
    gate(p, y, z, y);
    rotate(y, out);
  }

  /**
   * Marks the ids of the batch as seen, then chooses the next id of its first rows; a row at
   * position 0 has seen nothing before.
   *
   * @param ids (tokens) i32, the ids of the batch
   * @param logits (n, at least vocab) f32, of the last token of the batch's first n rows
   * @param out (n) i32
   */
  void sample(Sample p, Batch batch, Tensor ids, Tensor logits, Tensor out);

  /**
   * Operations to be run again and again, on what their tensors then hold.
   *
   * @param operations calls operations of this backend, but none that copies from or to the host;
   *     called now or at every run, with the same effect
   */
  default Recording record(Runnable operations) {
    return operations::run;
  }

  /** Releases memory and threads; tensors and recordings are dead afterwards. */
  @Override
  void close();
}
