package quamba.udf.tokenizer;

/** A text of which a part is outside a tokenizer's vocabulary, in which nothing stands for it. */
public final class UnencodableTextException extends IllegalArgumentException {
  private static final long serialVersionUID = 1;

  UnencodableTextException(RuntimeException cause) {
    super("the tokenizer cannot encode the text: " + cause.getMessage(), cause);
  }
}
