/**
 * Text to ids and back. Entry: {@link quamba.udf.tokenizer.Tokenizer}; {@link
 * quamba.udf.tokenizer.HuggingFaceTokenizer} is the implementation, by DJL's binding of Hugging
 * Face tokenizers, told to download nothing. Imports no other package of ours.
 */
package quamba.udf.tokenizer;
