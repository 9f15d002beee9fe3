package quamba.udf.tokenizer;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.util.Arrays;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongFunction;
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
  // The library takes some 200 bytes an id, a character is up to four ids, and a process that runs
  // out of memory there is gone: 16 Mi characters of English need 1 GB.
  private static final int MOST_CHARACTERS = 1 << 24;

  private final TokenizersLibrary library;
  private final Map<String, Integer> ids;
  private final int vocabulary;
  private final Supplier<TextStream> streams;

  // The library only reads a tokenizer while it is used, so uses may overlap; freeing it may not.
  private final ReadWriteLock lifetime = new ReentrantReadWriteLock();
  private long handle; // 0 after close; guarded by lifetime

  private HuggingFaceTokenizer(TokenizersLibrary library, TokenizerJson json, long handle) {
    this.library = library;
    this.handle = handle;
    ids = json.ids();
    vocabulary = json.vocabulary();
    streams = json.isByteLevel() ? byteLevel(json) : windowed(json.tokens());
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
    if (text.length() > MOST_CHARACTERS) {
      throw new IllegalArgumentException(
          "text of %d characters; at most %d are encoded at once"
              .formatted(text.length(), MOST_CHARACTERS));
    }
    UnpairedSurrogates.refuse(text);
    return whileOpen(
        tokenizer -> {
          long encoding = encoding(tokenizer, text);
          try {
            long[] ids = library.getTokenIds(encoding);
            return Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
          } finally {
            library.deleteEncoding(encoding);
          }
        });
  }

  private long encoding(long tokenizer, String text) {
    try {
      return library.encode(tokenizer, text, /* addSpecialTokens= */ false);
    } catch (RuntimeException e) { // the only type that the binding throws
      throw new UnencodableTextException(e);
    }
  }

  @Override
  public String decode(int[] ids) {
    long[] wide = Arrays.stream(ids).asLongStream().toArray();
    return whileOpen(tokenizer -> library.decode(tokenizer, wide, /* skipSpecialTokens= */ false));
  }

  @Override
  public int vocabulary() {
    return vocabulary;
  }

  @Override
  public OptionalInt idOf(String token) {
    Integer id = ids.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  @Override
  public TextStream stream() {
    return whileOpen(tokenizer -> streams.get());
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

  private Supplier<TextStream> windowed(Map<Integer, String> tokens) {
    return () -> new WindowedStream(tokens, this::decode);
  }

  private <T> T whileOpen(LongFunction<T> use) {
    Lock open = lifetime.readLock();
    open.lock();
    try {
      if (handle == 0) {
        throw new IllegalStateException("the tokenizer is closed");
      }
      return use.apply(handle);
    } finally {
      open.unlock();
    }
  }
}
