package quamba.udf;

import java.util.OptionalInt;
import org.apache.arrow.memory.BufferAllocator;
import quamba.kernels.Backend;
import quamba.udf.engine.Engine;
import quamba.udf.model.Capacity;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.ModelLoader;
import quamba.udf.tokenizer.Tokenizer;

/**
 * A model that an executor has opened, ready for requests.
 *
 * @param endOfText the id that ends a text, if the model has one
 * @param memory Arrow memory of this engine alone
 */
record OpenModel(Engine engine, Tokenizer tokenizer, OptionalInt endOfText, BufferAllocator memory)
    implements AutoCloseable {
  /** What Mamba's tokenizers call the end of a text, where the configuration names none. */
  private static final String END_OF_TEXT = "<|endoftext|>";

  /** Token ids in a step, beyond which a CPU and a GPU gain nothing. */
  private static final int CPU_STEP_TOKENS = 256;

  private static final int GPU_STEP_TOKENS = 4096;

  /**
   * Opens weights on a device.
   *
   * @param threads that compute, where the device is the processor
   * @param memory closed with the model
   */
  static OpenModel open(
      Weights weights, String device, int slots, int threads, BufferAllocator memory) {
    Tokenizer tokenizer = weights.openTokenizer();
    try (Weights.Opened opened = weights.open()) {
      ModelConfig config = ModelConfig.parse(weights.config());
      OptionalInt endOfText =
          config.endOfText().isPresent() ? config.endOfText() : tokenizer.idOf(END_OF_TEXT);
      int stepTokens = device.equals("cpu") ? CPU_STEP_TOKENS : GPU_STEP_TOKENS;
      Capacity capacity = new Capacity(slots, Math.max(slots, stepTokens));
      Backend backend = Backends.open(device, threads);
      try {
        Engine engine =
            new Engine(
                ModelLoader.open(opened.source(), backend, capacity, tokenizer.vocabulary()),
                tokenizer,
                endOfText,
                memory);
        return new OpenModel(engine, tokenizer, endOfText, memory);
      } catch (RuntimeException | Error e) {
        backend.close();
        throw e;
      }
    } catch (RuntimeException | Error e) {
      tokenizer.close();
      throw e;
    }
  }

  /** Fails callers that still wait; says so if the engine has lost memory. */
  @Override
  public void close() {
    engine.close();
    tokenizer.close();
    memory.close();
  }
}
