package quamba.udf.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import quamba.kernels.Backend;
import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Sample;
import quamba.kernels.Tensor;

/**
 * A Mamba1 or Mamba2 model on a backend, which it owns. Prefill and decoding are the same pass: the
 * rows of a step have one token or many.
 */
public final class MambaModel implements Model {
  private final Backend backend;
  private final ModelConfig config;
  private final Capacity capacity;
  private final int vocab;

  private final Tensor embedding; // (vocabulary rows, modelDim)
  private final List<Block> blocks;
  private final Head head;

  private final Activations activations;
  private final StatePool states;
  private final StepTensors inputs;
  private final SlotSampling sampling;
  private final DecodeRecordings decoding;

  MambaModel(Backend backend, ModelConfig config, Capacity capacity, int vocab, Layers layers) {
    this.backend = backend;
    this.config = config;
    this.capacity = capacity;
    this.vocab = vocab;
    embedding = layers.embedding();
    blocks = layers.blocks();
    head = layers.head();
    int tokens = capacity.tokensPerStep();
    boolean codes = blocks.stream().anyMatch(block -> block.activations() == DType.I8);
    Activations.Rows rows = new Activations.Rows(tokens, codes ? tokens : 0);
    activations = Activations.allocate(backend, config, rows);
    states = StatePool.allocate(backend, blocks, capacity.slots());
    inputs = new StepTensors(backend, capacity);
    sampling = new SlotSampling(backend, capacity.slots(), vocab);
    decoding = new DecodeRecordings(backend);
  }

  /** What is loaded, from ids to logits. */
  record Layers(Tensor embedding, List<Block> blocks, Head head) {}

  /** What config.json says of this model. */
  public ModelConfig config() {
    return config;
  }

  @Override
  public int slots() {
    return capacity.slots();
  }

  @Override
  public int tokensPerStep() {
    return capacity.tokensPerStep();
  }

  @Override
  public int vocab() {
    return vocab;
  }

  /** Columns of the logits that {@link #logits} gives; from {@link #vocab} on they are padding. */
  public int logitsWidth() {
    return head.width();
  }

  @Override
  public void start(int slot, Sampling options, long key) {
    sampling.start(slot, options, key);
  }

  @Override
  public void begin(Step step) {
    inputs.requireFree();
    if (step.rows() > 0) {
      run(step);
    }
    inputs.beginRead();
  }

  @Override
  public boolean isDone() {
    return inputs.hasRead();
  }

  @Override
  public void await(Step step) {
    inputs.awaitRead(step);
  }

  private void run(Step step) {
    StepTensors.Inputs in = inputs.write(step);
    Sample sample = sampling.current();
    Tensor chosen = inputs.chosen(step);
    if (step.tokens() == step.sampledRows()) {
      decoding.run(step.rows(), () -> decode(in, sample, chosen));
    } else {
      Activations a = forward(in);
      boolean none = step.sampledRows() == 0;
      Tensor logits = none ? head.noLogits() : head.logitsAt(in.lasts(), a);
      backend.sample(sample, in.batch(), in.ids(), logits, chosen);
    }
  }

  /** A step in which every row has one token and wants its next. */
  private void decode(StepTensors.Inputs in, Sample sample, Tensor chosen) {
    Activations a = forward(in);
    Tensor logits = head.logits(a.hidden().floats(), a.residual());
    backend.sample(sample, in.batch(), in.ids(), logits, chosen);
  }

  /**
   * Runs the step's tokens through the model as {@link #step} does and hands over the logits of
   * every token, in pieces of at most {@link #slots} tokens. No id is chosen, and none counts as
   * seen for the repetition penalty.
   */
  public void logits(Step step, LogitsConsumer consumer) {
    int tokens = step.tokens();
    if (tokens == 0) {
      return;
    }
    Activations a = forward(inputs.write(step));
    int width = head.width();
    int most = Math.min(tokens, head.slots());
    ByteBuffer piece =
        ByteBuffer.allocateDirect(Math.multiplyExact(most * Float.BYTES, width))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int first = 0; first < tokens; first += most) {
      int count = Math.min(most, tokens - first);
      Tensor hidden = a.hidden().floats().rows(first, count);
      Tensor logits = head.logits(hidden, a.residual().rows(first, count));
      piece.limit(count * Float.BYTES * width);
      backend.read(logits, piece);
      consumer.accept(first, count, piece.asFloatBuffer());
    }
  }

  /** Everything up to the head; hidden holds what the last block adds to residual. */
  private Activations forward(StepTensors.Inputs in) {
    Batch batch = in.batch();
    Activations a = activations.tokens(batch.tokens());
    backend.begin(in.ids(), inputs.chosen(), a.residual());
    backend.embed(in.ids(), embedding, a.hidden().floats());
    for (int layer = 0; layer < blocks.size(); layer++) {
      blocks.get(layer).forward(backend, batch, a, states.layer(layer));
    }
    return a;
  }

  /** Closes the backend. */
  @Override
  public void close() {
    decoding.close();
    backend.close();
  }
}
