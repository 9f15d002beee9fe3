package quamba.udf;

import java.util.OptionalInt;
import org.apache.arrow.memory.BufferAllocator;
import quamba.udf.engine.Engine;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.tokenizer.Tokenizer;

/**
 * A model that an executor has opened, ready for requests.
 *
 * @param endOfText the id that ends a text, if the model has one
 * @param memory Arrow memory of this engine alone
 */
record OpenModel(Engine engine, Tokenizer tokenizer, OptionalInt endOfText, BufferAllocator memory)
    implements ExecutorModels.Opened {
  /** What Mamba's tokenizers call the end of a text, where the configuration names none. */
  private static final String END_OF_TEXT = "<|endoftext|>";

  /** Token ids in a step, beyond which a CPU and a GPU gain nothing. */
  private static final int CPU_STEP_TOKENS = 256;

  private static final int GPU_STEP_TOKENS = 4096;

  /**
   * The model of this executor that has these weights, slots and format of states.
   *
   * @param device {@code cpu}, or a GPU by its address
   * @param placement of which slots and state count
   */
  static ExecutorModels.Lease<OpenModel> lease(
      Weights weights, String device, PartitionTask.Placement placement) {
    String name =
        "%s for %d sequences with states in %s"
            .formatted(weights.id(), placement.slots(), placement.state());
    return ExecutorModels.ofThisJvm()
        .lease(
            new ExecutorModels.Key<>(OpenModel.class, name, device),
            (threads, memory) -> open(weights, device, placement, threads, memory));
  }

  private static OpenModel open(
      Weights weights,
      String device,
      PartitionTask.Placement placement,
      int threads,
      BufferAllocator memory) {
    Tokenizer tokenizer = weights.openTokenizer();
    try {
      int stepTokens = device.equals("cpu") ? CPU_STEP_TOKENS : GPU_STEP_TOKENS;
      Capacity capacity =
          new Capacity(
              placement.slots(), Math.max(placement.slots(), stepTokens), placement.state());
      MambaModel model = weights.load(device, threads, capacity, tokenizer.vocabulary());
      OptionalInt configured = model.config().endOfText();
      OptionalInt endOfText = configured.isPresent() ? configured : tokenizer.idOf(END_OF_TEXT);
      Engine engine = new Engine(model, tokenizer, endOfText, memory);
      return new OpenModel(engine, tokenizer, endOfText, memory);
    } catch (RuntimeException | Error e) {
      tokenizer.close();
      throw e;
    }
  }

  @Override
  public boolean failed() {
    return engine.failed();
  }

  /** Fails callers that still wait; says so if the engine has lost memory. */
  @Override
  public void close() {
    engine.close();
    tokenizer.close();
    memory.close();
  }
}
