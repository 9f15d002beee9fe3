package quamba.udf.tokenizer;

/** Text with half a character has no UTF-8; the binding would put something else in its place. */
final class UnpairedSurrogates {
  private UnpairedSurrogates() {}

  /**
   * Refuses text that holds one.
   *
   * @throws IllegalArgumentException naming the index of the first
   */
  static void refuse(String text) {
    for (int i = 0; i < text.length(); i++) {
      char unit = text.charAt(i);
      if (Character.isSurrogate(unit)) {
        boolean paired =
            Character.isHighSurrogate(unit)
                && i + 1 < text.length()
                && Character.isLowSurrogate(text.charAt(i + 1));
        if (!paired) {
          throw new IllegalArgumentException("unpaired surrogate at index " + i);
        }
        i++;
      }
    }
  }
}
