package quamba.udf.model;

/**
 * The format of quantized checkpoints: what they hold beside, or in another form than, the
 * floating-point checkpoint of the same model. Everything is logical and row-major.
 *
 * <p><b>config.json</b> has a section {@code "quantization"}; without it no tensor below is
 * allowed.
 *
 * <pre>
 *   "quantization": {
 *     "version": 1,
 *     "scheme": "w4a8",          text for people and reports; nothing is decided by it
 *     "rotation": "hadamard",    or "none", which is the default
 *     "recipe": { … }            how it was made; not read
 *   }
 * </pre>
 *
 * With {@code "rotation": "hadamard"} the input of every out_proj is rotated by {@link
 * quamba.kernels.Hadamard} before it is multiplied, and the weights are those that want this (spec
 * section 5): what else the rotation changes is folded into them, norm weights of the residual
 * stream included.
 *
 * <p><b>Weights.</b> The matrices {@code backbone.embedding}, {@code lm_head}, and of a layer
 * {@code mixer.in_proj}, {@code mixer.x_proj}, {@code mixer.dt_proj} and {@code mixer.out_proj} may
 * each be F32, F16 or BF16, or in one of two forms:
 *
 * <pre>
 *   NAME.weight        I8  (out, in)            NAME.weight_scale  F16 or F32  (out)
 *   NAME.weight        U8  (out, in / 2)        NAME.weight_scale  F16 or F32  (out, ceil(in / 128))
 * </pre>
 *
 * The value is code · scale. 4-bit codes are two's complement nibbles, −8 … 7, that of the even
 * column in the low half of its byte; such matrices have an even number of columns, and a scale for
 * each 128 columns of a row. How 4-bit weights meet 8-bit activations: {@link
 * quamba.kernels.QuantizedWeight.Int4}. All other tensors (norms, convolutions, A_log, D, biases)
 * stay floating-point.
 *
 * <p><b>Activations.</b> What flows through {@link Tap} {@code T} of layer N is int8 if there is a
 * tensor {@code backbone.layers.N.mixer.T_scale}, F32 of shape (1), one scale for all columns, or
 * (columns), one for each: how columns are grouped is told by equal scales, in the order of the
 * columns of this checkpoint. Scales are over 0 and finite; value = code · scale. Of a layer either
 * all of the taps that are marked in {@link Tap} have scales (A8) or no tap but {@link Tap#STATE}
 * (A16); layers may differ. The input of a matrix of integers must have the one scale (1).
 *
 * <p>The input of lm_head is int8 if there is {@value #HEAD_INPUT_SCALE}, F32 (1).
 *
 * <p>A matrix whose input is int8 must have codes itself; one whose input is not may. A tied
 * checkpoint without {@code lm_head.weight} uses the embedding, codes or not, for both, and embeds
 * the values that lm_head multiplies.
 */
public final class QuantizedNames {
  /** The one scale of lm_head's input. */
  public static final String HEAD_INPUT_SCALE = "lm_head_input_scale";

  /** What follows a weight's or a tap's name in the name of its scales. */
  private static final String SUFFIX = "_scale";

  private QuantizedNames() {}

  /** Places of a layer that activations flow through; columns in brackets. */
  public enum Tap {
    /** in_proj's input, the norm's output (modelDim). A8 needs it, as (1). */
    IN_PROJ_INPUT("in_proj_input"),
    /** The gate (innerDim), as in_proj gives it. Optional. */
    Z("z"),
    /** The convolution's input x (innerDim). A8 needs it. */
    X_IN("x_in"),
    /** The convolution's input B (groups · stateDim). Mamba2 only; A8 needs it. */
    B_IN("B_in"),
    /** The convolution's input C (groups · stateDim). Mamba2 only; A8 needs it. */
    C_IN("C_in"),
    /**
     * The convolution's output x (innerDim), the recurrence's input. A8 needs it; in Mamba1, where
     * x_proj reads it too, as (1).
     */
    X_OUT("x_out"),
    /**
     * B as the recurrence reads it (groups · stateDim): Mamba2's convolution or Mamba1's x_proj
     * gives it. A8 needs it.
     */
    B_OUT("B_out"),
    /** C as the recurrence reads it (groups · stateDim), as {@link #B_OUT}. A8 needs it. */
    C_OUT("C_out"),
    /** dt_proj's input (dtRank), out of x_proj. Mamba1 only; A8 needs it, as (1). */
    DT_PROJ_INPUT("dt_proj_input"),
    /**
     * dt before bias and softplus (heads): Mamba2's in_proj or Mamba1's dt_proj gives it. Optional.
     */
    DT("dt"),
    /**
     * The recurrence's state (heads, headDim, stateDim): that shape, or with 1 for extents whose
     * indices share a scale, or (1). Optional, in A16 too; read only if the state's format asks for
     * static scales.
     */
    STATE("state"),
    /** out_proj's input (innerDim), after the rotation if there is one. A8 needs it, as (1). */
    OUT_PROJ_INPUT("out_proj_input");

    private final String text;

    Tap(String text) {
      this.text = text;
    }

    /** As tensor names have it. */
    @Override
    public String toString() {
      return text;
    }
  }

  /** The scales of the codes of {@code weight}, a tensor's name. */
  public static String scale(String weight) {
    return weight + SUFFIX;
  }

  /** Whether a tensor of this name holds scales. */
  static boolean isScale(String name) {
    return name.endsWith(SUFFIX);
  }

  /** The scales of what flows through {@code tap} of layer {@code layer}. */
  public static String scale(int layer, Tap tap) {
    return ModelTensors.prefix(layer) + "mixer." + tap + SUFFIX;
  }
}
