/**
 * Text to ids and back. Entry: {@link quamba.udf.tokenizer.Tokenizer}; {@link
 * quamba.udf.tokenizer.HuggingFaceTokenizer} is the implementation, by DJL's binding of Hugging
 * Face tokenizers. {@link quamba.udf.tokenizer.PromptTemplate} makes a row's text of its columns.
 * Imports no other package of ours.
 *
 * <p>Of DJL only {@code jni.TokenizersLibrary} may be used: its other classes reach for the
 * network, for GPUs and for environment variables. That class must keep its name in a shaded jar,
 * since native code is bound by it, and lie in the same jar as this package.
 */
package quamba.udf.tokenizer;
