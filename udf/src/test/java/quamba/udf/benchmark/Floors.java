package quamba.udf.benchmark;

import quamba.kernels.Scan;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelConfig.Mamba1;
import quamba.udf.model.StateFormat;
import quamba.udf.quantizer.Scheme;

/**
 * The least time of a decoding step on a device, by what must be moved and multiplied. Activations
 * and logits are not counted: they may stay on the chip.
 *
 * <pre>
 *   bytes   = W + rows · (state + window)
 *   overlap = max(bytes / copy, operations / rate)              everything at once
 *   serial  = rows · (state + window) / copy + max(W / copy, operations / rate)
 * </pre>
 *
 * @param weightBytes W: matrices as they are stored, their scales, small tensors
 * @param stateBytes of a row and step, read and written: all of the state each token where it is
 *     kept in f32 or has only a few elements a channel (Mamba1); else read each token and written
 *     each {@value #INTERVAL}, with the inputs since
 * @param windowBytes of the convolution's window of a row and step
 * @param layerOperations multiplications and additions of a token in the layers' matrices
 * @param headOperations of a token whose logits are wanted
 * @param codes whether they are of 8-bit codes
 */
record Floors(
    double weightBytes,
    double stateBytes,
    double windowBytes,
    double layerOperations,
    double headOperations,
    boolean codes) {
  private static final int INTERVAL = 16;

  /**
   * What the device reaches.
   *
   * @param copyBytes bytes read plus bytes written a second; NaN if not known, as the others
   * @param codeOperations of 8-bit codes a second
   * @param halfOperations of binary16 numbers a second
   */
  record Rates(double copyBytes, double codeOperations, double halfOperations) {}

  static Floors of(ModelConfig config, Scheme scheme, StateFormat state) {
    boolean codes = scheme.quantizesActivations();
    double layers = config.layers();
    double dim = config.modelDim();
    Scan.Dims dims = config.mixer().dims();
    double inner = dims.innerDim();
    double channels = config.mixer().convChannels();
    double bc = (double) dims.groups() * dims.stateDim();
    double matrix = config.mixer().projected() * dim + inner * dim;
    double outputs = config.mixer().projected() + dim;
    double small = dim + channels * (config.mixer().convWidth() + 1) + 2.0 * dims.heads();
    if (config.mixer() instanceof Mamba1 mamba1) {
      matrix += (double) mamba1.selected() * inner + inner * mamba1.dtRank();
      outputs += mamba1.selected() + inner;
      small += inner * dims.stateDim();
    } else {
      small += inner + dims.heads();
    }
    double head = config.vocabulary().rows() * dim;
    double weights = layers * matrix + head;
    double stored = scheme == Scheme.W8A8 ? weights + 2 * layers * outputs : weights * 4.125 / 8;
    double elements = layers * inner * dims.stateDim();
    double ring = (inner + bc) * (codes ? 1 : 2) + 4.0 * dims.heads();
    boolean replay = state != StateFormat.F32 && !(config.mixer() instanceof Mamba1);
    double element = state == StateFormat.F32 ? 4 : state == StateFormat.F16 ? 2 : 1;
    return new Floors(
        stored + 2 * layers * small,
        replay
            ? elements * element * (1 + 1.0 / INTERVAL) + layers * ring * ((INTERVAL - 1) / 2.0 + 1)
            : 2 * elements * element,
        layers * config.mixer().convWidth() * channels * (codes ? 1 : 2),
        2 * layers * matrix,
        2 * head,
        codes);
  }

  /** This, if all of the state were read and written each token as int8. */
  Floors classic(ModelConfig config) {
    Scan.Dims dims = config.mixer().dims();
    double state = 2.0 * config.layers() * dims.innerDim() * dims.stateDim();
    return new Floors(weightBytes, state, windowBytes, layerOperations, headOperations, codes);
  }

  private double rate(Rates rates) {
    return codes ? rates.codeOperations() : rates.halfOperations();
  }

  private double multiply(int rows, Rates rates) {
    return rows * (layerOperations + headOperations) / rate(rates);
  }

  private double moved(int rows) {
    return rows * (stateBytes + windowBytes);
  }

  /** Seconds of a step, if moving and multiplying overlap. */
  double overlap(int rows, Rates rates) {
    double bytes = (weightBytes + moved(rows)) / rates.copyBytes();
    return Math.max(bytes, multiply(rows, rates));
  }

  /** Seconds of a step, if states and matrices take turns. */
  double serial(int rows, Rates rates) {
    double matrices = Math.max(weightBytes / rates.copyBytes(), multiply(rows, rates));
    return moved(rows) / rates.copyBytes() + matrices;
  }

  /** Seconds that the matrices alone take of prompts, of which each row's last token has logits. */
  double prefill(long tokens, int rows, Rates rates) {
    return (tokens * layerOperations + rows * headOperations) / rate(rates);
  }
}
