package quamba.udf.tokenizer;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;

/**
 * A {@code tokenizer.json} as Hugging Face's library runs it, by DJL's native binding of it.
 *
 * <p>The binding is used below DJL's own {@code HuggingFaceTokenizer}, which for every text also
 * fetches tokens, masks and offsets (objects by the token), cuts at 512 tokens unless told
 * otherwise, calls home, and is freed by a finalizer while another thread may be inside. Nothing is
 * downloaded, no environment variable is read and no property is set; {@link NativeLibrary} says
 * how the native code arrives.
 */
public final class HuggingFaceTokenizer implements Tokenizer {
  private final TokenizersLibrary library;
  private final TokenizerJson json;
  private final Supplier<TextStream> streams;

  // The library only reads a tokenizer while it is used, so uses may overlap; freeing it may not.
  private final ReadWriteLock lifetime = new ReentrantReadWriteLock();
  private long handle; // 0 after close; guarded by lifetime

  private HuggingFaceTokenizer(TokenizersLibrary library, TokenizerJson json, long handle) {
    this.library = library;
    this.json = json;
    this.handle = handle;
    streams = json.isByteLevel() ? byteLevel(json) : () -> new WindowedStream(json, this::decode);
  }

  /**
   * Opens the content of a {@code tokenizer.json}. Truncation and padding that it asks for are left
   * out.
   *
   * @throws IllegalArgumentException if it is not valid, or asks for what is not supported: random
   *     ids (dropout), or a decoder whose text is not certain before the end
   * @throws IllegalStateException if the native library cannot be loaded, saying why
   */
  public static HuggingFaceTokenizer open(byte[] tokenizerJson) {
    TokenizerJson json = new TokenizerJson(tokenizerJson);
    TokenizersLibrary library = NativeLibrary.INSTANCE.binding();
    long handle;
    try {
      handle = library.createTokenizerFromString(json.text());
    } catch (RuntimeException e) { // the only type that the binding throws
      throw new IllegalArgumentException("tokenizer.json is not valid: " + e.getMessage(), e);
    }
    library.disableTruncation(handle);
    library.disablePadding(handle);
    return new HuggingFaceTokenizer(library, json, handle);
  }

  @Override
  public int[] encode(String text) {
    UnpairedSurrogates.refuse(text);
    Lock use = lifetime.readLock();
    use.lock();
    try {
      long encoding = library.encode(openHandle(), text, /* addSpecialTokens= */ false);
      try {
        return Arrays.stream(library.getTokenIds(encoding)).mapToInt(Math::toIntExact).toArray();
      } finally {
        library.deleteEncoding(encoding);
      }
    } finally {
      use.unlock();
    }
  }

  @Override
  public String decode(int[] ids) {
    Lock use = lifetime.readLock();
    use.lock();
    try {
      long[] wide = Arrays.stream(ids).asLongStream().toArray();
      return library.decode(openHandle(), wide, /* skipSpecialTokens= */ false);
    } finally {
      use.unlock();
    }
  }

  @Override
  public int vocabulary() {
    return json.vocabulary();
  }

  @Override
  public OptionalInt idOf(String token) {
    Integer id = json.ids().get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  @Override
  public TextStream stream() {
    return streams.get();
  }

  @Override
  public void close() {
    Lock end = lifetime.writeLock();
    end.lock();
    try {
      if (handle != 0) {
        library.deleteTokenizer(handle);
        handle = 0;
      }
    } finally {
      end.unlock();
    }
  }

  private static Supplier<TextStream> byteLevel(TokenizerJson json) {
    ByteLevelTokens tokens = new ByteLevelTokens(json);
    return () -> new ByteLevelStream(tokens);
  }

  private long openHandle() {
    if (handle == 0) {
      throw new IllegalStateException("the tokenizer is closed");
    }
    return handle;
  }
}
