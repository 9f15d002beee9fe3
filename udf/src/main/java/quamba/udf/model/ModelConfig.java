package quamba.udf.model;

import java.util.List;
import java.util.OptionalInt;
import quamba.kernels.Scan;
import quamba.udf.checkpoint.InvalidCheckpointException;

/**
 * What config.json says of a model, the same whether mamba_ssm or transformers wrote it.
 *
 * @param modelDim width of the residual stream
 * @param layers number of blocks
 * @param epsilon of every norm
 * @param vocabulary ids and what becomes of them at both ends of the model
 * @param mixer family and extents of the blocks
 * @param quantization what the section of that name says
 */
public record ModelConfig(
    int modelDim,
    int layers,
    float epsilon,
    Vocabulary vocabulary,
    Mixer mixer,
    Quantization quantization) {

  /** Where the logits' matrix comes from. */
  public enum Tie {
    /** The embedding, unless the checkpoint has a matrix of its own all the same. */
    TIED,
    /** A matrix of its own. */
    UNTIED
  }

  /**
   * Ids of a model.
   *
   * @param size ids run from 0 to here, exclusive
   * @param rows rows of the embedding and columns of the logits: size, padded
   * @param tie where the logits' matrix comes from
   * @param ends ids that end a text, the most usual first; may be empty
   */
  public record Vocabulary(int size, int rows, Tie tie, List<Integer> ends) {
    public Vocabulary {
      ends = List.copyOf(ends);
    }
  }

  /** The part of a block between its two ends, by family. */
  public sealed interface Mixer permits Mamba1, Mamba2 {
    /** Extents of the recurrence. */
    Scan.Dims dims();

    /** Taps of the causal convolution. */
    int convWidth();

    /** Columns of in_proj's output. */
    int projected();

    /** Columns that the convolution runs over. */
    int convChannels();

    /** Width of the mixer. */
    default int innerDim() {
      return dims().innerDim();
    }
  }

  /**
   * Mamba1: dt, B and C come from the convolved x.
   *
   * @param dims heads = innerDim, headDim 1, groups 1
   * @param convWidth taps of the causal convolution
   * @param dtRank columns of x_proj's output that dt_proj widens to dt
   */
  public record Mamba1(Scan.Dims dims, int convWidth, int dtRank) implements Mixer {
    @Override
    public int projected() {
      return 2 * innerDim();
    }

    @Override
    public int convChannels() {
      return innerDim();
    }

    /** Columns of x_proj's output: dt (dtRank), B, C. */
    public int selected() {
      return dtRank + 2 * dims.stateDim();
    }
  }

  /**
   * Mamba2: dt, B and C come from in_proj.
   *
   * @param dims extents; the gated norm has as many groups as B and C
   * @param convWidth taps of the causal convolution
   * @param limit bounds of dt
   */
  public record Mamba2(Scan.Dims dims, int convWidth, Scan.Limit limit) implements Mixer {
    @Override
    public int projected() {
      return innerDim() + convChannels() + dims.heads();
    }

    @Override
    public int convChannels() {
      return innerDim() + 2 * bcDim();
    }

    /** Columns of B, and of C. */
    public int bcDim() {
      return dims.groups() * dims.stateDim();
    }
  }

  /**
   * Reads the text of config.json: mamba_ssm's names if it has {@code d_model}, else those of
   * transformers' MambaForCausalLM and Mamba2ForCausalLM.
   *
   * @throws InvalidCheckpointException naming the key, what it must be and what it was, for
   *     anything that would compute something else than this package does
   */
  public static ModelConfig parse(String json) {
    ConfigObject config = ConfigObject.parse(json);
    ModelConfig model =
        config.has("d_model") ? MambaSsmConfig.read(config) : TransformersConfig.read(config);
    ModelTensors.checkSizes(model);
    return model;
  }

  /** The id that ends a text, if the model names one. */
  public OptionalInt endOfText() {
    return vocabulary.ends().stream().mapToInt(Integer::intValue).findFirst();
  }
}
